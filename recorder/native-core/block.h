/* Blocks of observations, as they are written: docs/observations.md has the format. Linux only.
 *
 * Everything is kept in the arena. A block is sent with one blocking write; when nobody reads any more, the process
 * exits.
 */
#ifndef RETROSCOPE_BLOCK_H
#define RETROSCOPE_BLOCK_H

#include "block_format.h"
#include "bytecode.h"
#include "render.h"

/* Number of the block that is being written, from 1: what was put into another one must be put anew. */
extern uint32_t block_serial;

/* From now on blocks go to the descriptor. */
void block_begin(int fd, uint32_t what);

/* Opens the block whose first tick is the next one; so many inputs are used up. */
void block_open(uint64_t first_tick, uint64_t inputs);

/* Whether the block is as large as it may be. */
bool block_is_full(void);

/* Sends the block, if any tick is in it. */
void block_send(void);

/* What is in the columns so far; only for the functions below. */
typedef struct {
    unsigned char *bytes;
    size_t size;
} block_bytes;

extern block_bytes block_columns[BLOCK_COLUMNS];
extern uint64_t block_row_tick; /* of the last row */

#define BLOCK_COLUMN_BYTES ((size_t)1 << 28) /* reserved for each, not used: a block is closed long before */

_Noreturn void block_has_no_room(void);

/* Where the next so many bytes of the column go. */
static inline unsigned char *block_room(enum block_column column, size_t size)
{
    if (__builtin_expect(block_columns[column].size + size > BLOCK_COLUMN_BYTES, 0))
        block_has_no_room();
    return block_columns[column].bytes + block_columns[column].size;
}

static inline void block_put(enum block_column column, uint64_t number)
{
    unsigned char *at = block_room(column, 10), *begin = at;
    for (; number >= 128; number >>= 7)
        *at++ = (unsigned char)(number | 128);
    *at++ = (unsigned char)number;
    block_columns[column].size += (size_t)(at - begin);
}

static inline void block_put_signed(enum block_column column, int64_t number)
{
    block_put(column, (uint64_t)number << 1 ^ (uint64_t)(number >> 63));
}

/* A row that belongs to tick `tick`, that of the last line; what its kind needs follows by block_put. */
static inline void block_row(enum block_op op, uint64_t tick)
{
    *block_room(COLUMN_OPS, 1) = (unsigned char)op;
    block_columns[COLUMN_OPS].size++;
    block_put(COLUMN_WHEN, tick - block_row_tick);
    block_row_tick = tick;
}

/* The next line: tick by tick. At it so many inputs are used up. */
void block_line(code_facts *facts, int line, uint64_t inputs);

uint32_t block_code(code_facts *facts); /* its number in this block */
uint32_t block_string(const char *bytes, size_t size);
uint32_t block_str(PyObject *text);
void block_address(uintptr_t address);

/* A value, NULL: unbound. `place`: INT_PLACE_OF_ROW or a slot. */
void block_value(PyObject *value, uint32_t place);
void block_rendered(PyObject *value, const rendering *text);

/* The frame of a row that is one from before the block: its number is the next one. */
void block_old_frame(uint64_t id, uintptr_t address, code_facts *facts, uint64_t last, int line);

/* Keys: what occurs in the block. Text as in block_string. */
void block_key_text(enum fact_kind kind, PyObject *text, PyObject *second, uint64_t number);
/* The key of a kind and a text alone. */
void block_key_bytes(enum fact_kind kind, const char *bytes, size_t size);
/* `text`: the name's number in the block, 0 if there is none. */
void block_key_address(enum fact_kind kind, uintptr_t address, PyObject *name, uint32_t text);

#endif
