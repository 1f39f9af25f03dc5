/* Definitions of C callables, exchanged in place. */
#ifndef RETROSCOPE_PATCHING_H
#define RETROSCOPE_PATCHING_H

#include "boundary.h"

/* Puts `target`, which is `owner`'s attribute of the name `slot`, at the boundary as `entry`: a builtin function, a
 * method, getting an attribute or, when the name ends in "=", setting it, a Python function of CPython's own, a slot of a
 * type. Returns -1 with an exception when it is none of these. */
int patching_exchange(boundary_entry *entry, PyObject *target, PyObject *owner, const char *slot);

#endif
