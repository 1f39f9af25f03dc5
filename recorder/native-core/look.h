/* Looking: what happens in the fork that shows a moment and is thrown away. Linux only. */
#ifndef RETROSCOPE_LOOK_H
#define RETROSCOPE_LOOK_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

/* The Python callable (stream descriptor, core module, frame or None) that answers questions. */
void look_set_inspector(PyObject *inspector, PyObject *module);

/* Runs the inspector in this process, a fresh fork, within the limits of time and memory, and exits.
 * `with_frame`: whether the running frame is the program's. */
_Noreturn void look_and_exit(int stream, bool with_frame);

/* Runs the inspector in this process, which goes on afterwards, until the other end of `stream` is closed. */
void look_in_place(int stream);

/* From now on this process may take no more processor time and memory than one look. */
void look_limit(void);

/* Whether this call at the boundary, made while looking, may run: the identity of an object or thread, asked by code that
 * only compares it, as the guards of dataclasses and reprlib against a repr within itself do. What it is would be wrong
 * to show: the recording had another. */
bool look_only_compares(PyObject *name);

int look_register(PyObject *module);

#endif
