/* What the Python functions on blocks share. */
#ifndef RETROSCOPE_BLOCK_QUERY_H
#define RETROSCOPE_BLOCK_QUERY_H

#include "block_read.h"

typedef struct {
    Py_buffer bytes;
    block_reader reader;
} open_block;

/* Opens a bytes-like object: 0, or -1 with an exception set. */
int block_open_from(PyObject *object, open_block *block);

/* Closes it and passes the result on. */
PyObject *block_close_with(open_block *block, PyObject *result);

/* Takes the reference: 0, or -1, also for NULL. */
int block_append(PyObject *list, PyObject *item);

int block_hits_register(PyObject *module);

#endif
