/* Which code is the user's own: not frozen, not the standard library, not an installed package. */
#ifndef RETROSCOPE_VISIBLE_H
#define RETROSCOPE_VISIBLE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

/* Decided by co_filename alone; "<string>" and "<stdin>" are visible, other names in angle brackets that say
 * "frozen" are not. Allocates nothing. */
bool code_is_visible(PyCodeObject *code);

int visible_register(PyObject *module);

#endif
