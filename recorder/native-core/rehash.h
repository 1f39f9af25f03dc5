/* Containers that were filled when objects still hashed by their addresses. */
#ifndef RETROSCOPE_REHASH_H
#define RETROSCOPE_REHASH_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* `objects`, a list: its sets and dicts are filled again, its weak references forget their hashes. 0, or -1 with an
 * exception. */
int rehash(PyObject *objects);

#endif
