/* Identity hashes that are the same in every run: an object's hash is the number of its first hashing,
 * forgotten when the object dies. */
#ifndef RETROSCOPE_IDENTITY_H
#define RETROSCOPE_IDENTITY_H

#include "core.h"

/* The deallocs that a thread is in the middle of: the object that dies, and those that wait until it is dead. */
typedef struct {
    PyObject *object;
    PyTypeObject *type, *level;  /* how far up its bases it has come: a C type's dealloc may call its base's */
    PyObject **objects;      /* 1 in the lowest bit: the collector had tracked it; owned */
    size_t used, size;
    unsigned depth;
} identity_deaths;

/* In replay, where all threads are contexts of one: the thread that comes has these, those of the one that goes are
 * returned. */
identity_deaths identity_exchange_deaths(identity_deaths deaths);

/* The identity hash of any object, whatever its type's own hash. */
Py_hash_t identity_hash(PyObject *object);

#endif
