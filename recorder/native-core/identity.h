/* Identity hashes that are the same in every run: an object's hash is the number of its first hashing,
 * forgotten when the object dies. */
#ifndef RETROSCOPE_IDENTITY_H
#define RETROSCOPE_IDENTITY_H

#include "core.h"

/* The identity hash of any object, whatever its type's own hash. */
Py_hash_t identity_hash(PyObject *object);

#endif
