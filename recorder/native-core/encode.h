/* Values in records. Their layout: docs/architecture.md, "Seam 2". */
#ifndef RETROSCOPE_ENCODE_H
#define RETROSCOPE_ENCODE_H

#include "record_writer.h"

/* One call that crosses the boundary, as vectorcall passes it. `self` may be NULL. */
typedef struct {
    PyObject *self;
    PyObject *const *args;
    Py_ssize_t nargs;      /* positional ones; the values of `kwnames` follow */
    PyObject *kwnames;     /* tuple or NULL */
    PyObject *outcomes;    /* list of what its callbacks so far returned or raised; NULL: it has called nothing back */
} boundary_call;

/* Encodes `value`; objects of `call` (may be NULL) become references. On failure w->failed is set. */
void encode_value(record_writer *w, PyObject *value, const boundary_call *call);

/* Encodes the exception `error` (an instance). */
void encode_exception(record_writer *w, PyObject *error, const boundary_call *call);

/* Sets what turns a value that has no native form into bytes: a Python callable (object) -> bytes. */
void encode_set_pickler(PyObject *dumps);

#endif
