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

void block_put(enum block_column column, uint64_t number);
void block_put_signed(enum block_column column, int64_t number);

/* A row that belongs to tick `tick`, that of the last line; what its kind needs follows by block_put. */
void block_row(enum block_op op, uint64_t tick);

/* The next line: tick by tick. At it so many inputs are used up. */
void block_line(code_facts *facts, int line, uint64_t inputs);

uint32_t block_code(code_facts *facts); /* its number in this block */
uint32_t block_string(const char *bytes, size_t size);
uint32_t block_str(PyObject *text);
void block_address(uintptr_t address);

/* A value, NULL: unbound. `place`: INT_PLACE_OF_ROW or a slot. */
void block_value(PyObject *value, uint32_t place);
void block_rendered(PyObject *value, PyTypeObject *type, const rendering *text);

/* The frame of a row that is one from before the block: its number is the next one. */
void block_old_frame(uint64_t id, uintptr_t address, code_facts *facts, uint64_t last, int line);

/* Keys: what occurs in the block. Text as in block_string. */
void block_key_text(enum fact_kind kind, PyObject *text, PyObject *second, uint64_t number);
/* The key of a kind and a text alone. */
void block_key_bytes(enum fact_kind kind, const char *bytes, size_t size);
void block_key_address(enum fact_kind kind, uintptr_t address, PyObject *name);

#endif
