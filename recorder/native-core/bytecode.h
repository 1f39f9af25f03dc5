/* What the observer knows of a code object from its bytecode: where lines store, and where it returns and yields.
 * The third file that knows private layouts of CPython: those of bytecode and its instrumentation. */
#ifndef RETROSCOPE_BYTECODE_H
#define RETROSCOPE_BYTECODE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

enum site_kind {
    SITE_RETURN = 1, SITE_YIELD, SITE_STORE_ATTR, SITE_DELETE_ATTR, SITE_STORE_ITEM, SITE_DELETE_ITEM,
    SITE_STORE_SLICE, SITE_STORE_GLOBAL, SITE_DELETE_GLOBAL, SITE_STORE_NAME, SITE_DELETE_NAME,
};

/* An instruction that the observer is told of before it runs. */
typedef struct {
    uint32_t at;      /* code unit */
    uint16_t kind;
    uint16_t constant; /* of SITE_RETURN: 1: argument is the index of a constant */
    uint32_t argument;
    int32_t depth;    /* values on the frame's stack before it */
} code_site;

typedef struct {
    PyCodeObject *code;
    bool is_visible, is_full, is_generator, has_namespace;
    bool stores;                /* some site is a store */
    bool sites_lost;            /* some store could not be placed: the bytecode is not understood */
    uint32_t slots;             /* co_nlocalsplus */
    int first_line, least_line, most_line;
    uint64_t cells;             /* slots below 64 that are cells or closure variables */
    uint64_t anywhere;          /* slots below 64 that instructions without a line store */
    uint64_t *line_stores;      /* by line from least_line: slots below 64 that its instructions store */
    struct line_place {
        uint32_t block, place;
    } *places;                  /* by line from least_line; block.c's */
    uint32_t block, number;     /* its number in the block; block.c's */
    bool keyed;                 /* whether the block has the key of its beginning; the observer's */
    uint64_t keyed_slots;       /* slots below 64 of which the block has the key; the observer's */
    code_site *sites;           /* in order of `at` */
    uint32_t site_count;
    const void *linetable;      /* tells it from another that takes its address (3.11) */
} code_facts;

/* One instruction, without what the interpreter has made of it. `begins`: its first code unit, of its EXTENDED_ARGs. */
typedef struct {
    Py_ssize_t begins, at, next;
    int opcode;
    uint32_t argument;
} instruction_view;

int bytecode_opcode(PyCodeObject *code, Py_ssize_t unit);

/* Whether the instruction stores an attribute, an item or a name that is no slot. */
bool bytecode_stores(PyCodeObject *code, Py_ssize_t unit);

/* The instruction at i->next (0 at first) into *i; 0 at the end. */
int bytecode_next(PyCodeObject *code, instruction_view *i);

/* Are all its instructions from this code unit on of one line? What has no line stands between two lines. */
bool bytecode_is_one_line(PyCodeObject *code, Py_ssize_t from);

/* Reads the code. Kept in the arena for ever. */
code_facts *code_facts_make(PyCodeObject *code, bool all_code);

/* Whether these are facts about `code` and not about one that was at its address before. */
bool code_facts_hold(const code_facts *facts, PyCodeObject *code);

/* The site at a code unit; NULL. */
const code_site *code_site_at(const code_facts *facts, uint32_t unit);

/* 3.12 and later: has the interpreter call the INSTRUCTION callback of `tool` before each site. */
void code_sites_tell(code_facts *facts, int tool);

/* What an operand of the instruction at hand is: `from_top` 1 is the top of the stack. Borrowed. */
PyObject *site_operand(const struct _PyInterpreterFrame *f, const code_facts *facts, const code_site *site, int from_top);

/* The code unit at which the frame stands. */
uint32_t frame_unit(const struct _PyInterpreterFrame *f);

/* Whether the slot is a variable that several functions share. */
bool slot_is_cell(const code_facts *facts, uint32_t slot);

/* A slot's content, that of its cell if it is one; NULL: unbound. Borrowed. */
PyObject *frame_slot(const struct _PyInterpreterFrame *f, const code_facts *facts, uint32_t slot);

/* The namespace of STORE_NAME, or that of STORE_GLOBAL. Borrowed, may be NULL. */
PyObject *frame_namespace(const struct _PyInterpreterFrame *f, bool is_global);

#endif
