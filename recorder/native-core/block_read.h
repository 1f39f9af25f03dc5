/* Reading a block of observations. Its bytes are not trusted: every number is checked, and what does not fit ends the
 * reading with an error. */
#ifndef RETROSCOPE_BLOCK_READ_H
#define RETROSCOPE_BLOCK_READ_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "block_format.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const unsigned char *at, *end;
} block_cursor;

typedef struct {
    const char *bytes;
    uint32_t size;
    PyObject *object; /* made when it is first asked for */
} block_text;

typedef struct {
    uint32_t file, name, slots;
    int64_t first_line;
    uint32_t flags;
    uint32_t *names;  /* by slot: string << 1 | whether other functions share it */
} read_code;

typedef struct {
    uint32_t code;
    int64_t line;
} read_place;

typedef struct {
    uint8_t kind; /* enum block_value */
    union {
        int64_t number;
        double exact;
        uint32_t index;
    };
} read_value;

typedef struct {
    uint32_t type, text, flags;
    uint64_t address;
    PyObject *object; /* made when it is first asked for */
} read_entry;

typedef struct {
    uint64_t id, address; /* id 0: not known, or it had no line */
    uint64_t before, last; /* tick of its last line: before the block, and in the walk */
    int64_t line_before, line;
    uint32_t code;
    bool is_old;      /* began before the block */
    bool is_here;     /* has had a line or a variable in this walk */
    read_value *slots; /* what it holds, if that is kept track of */
} read_frame;

typedef struct {
    uint64_t number;
    uint32_t *frames;
    uint32_t depth, size;
} read_thread;

/* A fact as the walk finds it. */
typedef struct {
    enum fact_kind kind;
    uint64_t tick;
    uint32_t frame, caller;  /* numbers; FRAME_NONE */
    uint32_t place;          /* LINE */
    uint32_t how;            /* LEAVE */
    uint32_t slot;           /* LOCAL, CONTENT, KEPT */
    uint64_t by;             /* LOCAL */
    uint64_t address;        /* ATTR, ITEM, NAME, FREED */
    uint32_t name;           /* ATTR, NAME: string */
    uint32_t type;           /* ATTR: string */
    read_value value, key;
} read_fact;

#define FRAME_NONE UINT32_MAX

typedef struct {
    uint64_t first, ticks, what, inputs_before;
    block_cursor columns[BLOCK_COLUMNS];
    block_text *texts;
    read_code *codes;
    read_place *places;
    read_entry *entries;
    read_frame *frames;
    uint32_t *code_names; /* of all codes */
    uint32_t text_count, code_count, place_count, entry_count, old_count, frame_room;
    uint32_t *number_of; /* the frame that has a number; old frames come first in `frames` */
    uint32_t numbers_given, old_given, new_given;
    read_thread *threads;
    uint32_t thread_count, running;
    bool keeps_values;
    size_t kept_bytes;

    /* the walk */
    block_cursor walk[BLOCK_COLUMNS];
    uint32_t *successors;
    uint32_t last_place;
    uint64_t tick, row_tick, inputs;
    bool row_waits;
    uint8_t row_op;
    int64_t last_ints[INT_PLACES];
    uint64_t last_address;
} block_reader;

/* Reads the tables, and finds out at which tick each frame began: 0, or -1 with ValueError or MemoryError set. */
int block_reader_open(block_reader *reader, const unsigned char *bytes, size_t size);
/* Only where the columns are, and the numbers at the beginning: neither the tables nor the walk may be used. */
int block_reader_open_head(block_reader *reader, const unsigned char *bytes, size_t size);
void block_reader_close(block_reader *reader);

/* Goes to the beginning of the block. `keeps_values`: the frames' slots are kept. */
int block_walk_begin(block_reader *reader, bool keeps_values);

/* The next fact: 1, 0 at the end, -1 with an error set. */
int block_walk_next(block_reader *reader, read_fact *fact);

/* Of cursors. False: damage. */
bool cursor_number(block_cursor *cursor, uint64_t *number);
bool cursor_signed(block_cursor *cursor, int64_t *number);
bool cursor_below(block_cursor *cursor, uint64_t limit, uint32_t *number);
size_t cursor_left(const block_cursor *cursor);

int block_damaged(void); /* sets the error; -1 */

PyObject *block_text_object(block_reader *reader, uint32_t text);          /* new reference */
PyObject *block_value_object(block_reader *reader, const read_value *value); /* new reference */
PyObject *block_frame_object(const block_reader *reader, uint32_t frame);  /* new reference */

#endif
