/* Audit events of calls whose original replay does not make: they are told here, in both modes. */
#ifndef RETROSCOPE_AUDIT_H
#define RETROSCOPE_AUDIT_H

#include <Python.h>

/* What CPython tells when `_thread` starts a thread: 3.11 nothing; 3.13 on, of one with a handle (or NULL), the latter.
 * -1 with an exception when a hook forbids it. */
int audit_thread_starts(PyObject *function, PyObject *args, PyObject *kwargs);
int audit_joinable_starts(PyObject *function, int daemon, PyObject *handle);

/* The program's hooks, so that an original does not tell them again; to be given back without a turn of the GIL between. */
PyObject *audit_silence(void);
void audit_restore(PyObject *hooks);

#endif
