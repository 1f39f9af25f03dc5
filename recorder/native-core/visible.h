/* Which code is the user's own: not frozen, not the standard library, not an installed package. */
#ifndef RETROSCOPE_VISIBLE_H
#define RETROSCOPE_VISIBLE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

/* Decided by co_filename. A name in angle brackets is text that a library made, or frozen, and not the user's own but
 * for the program that Python was told to show (-c). Allocates nothing. */
bool code_is_visible(PyCodeObject *code);

int visible_register(PyObject *module);

#endif
