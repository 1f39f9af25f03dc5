/* Types the boundary knows by name: exceptions and struct sequences it may have to rebuild, and handles,
 * objects of C types whose life is outside (a directory entry, an SSL connection).
 *
 * Types are found by pointer, never by hash: looking one up must leave no mark on identity hashes. */
#ifndef RETROSCOPE_HANDLE_H
#define RETROSCOPE_HANDLE_H

#include "core.h"

typedef struct {
    PyObject *name;     /* borrowed */
    PyObject *members;  /* new reference: what encode() made of the object */
} handle_state;

/* Makes `type` known as `name`. `encode` (object) -> value and `decode` (type, value, self) -> object make
 * it a handle; both NULL: only the name is known. */
int handle_know(PyTypeObject *type, PyObject *name, PyObject *encode, PyObject *decode);

/* The known name of exactly this type, borrowed, or NULL without an exception. */
PyObject *handle_name_of(PyTypeObject *type);

/* The known name, else "module.qualname"; a new reference or NULL with an exception. */
PyObject *handle_type_name(PyTypeObject *type);

/* "module:qualname" of a class or function that is found by that name in its module: a new reference, or NULL without
 * an exception. */
PyObject *handle_global_name(PyObject *object);

/* 1 and *state filled when `value` is a handle, 0 when not, -1 with an exception. */
int handle_take(PyObject *value, handle_state *state);

/* The type (or function) named `name`: a new reference or NULL with an exception. */
PyObject *handle_type(PyObject *name);

/* Rebuilds a handle; `self` is the object whose method returns it (may be NULL). */
PyObject *handle_make(PyObject *name, PyObject *members, PyObject *self);

#endif
