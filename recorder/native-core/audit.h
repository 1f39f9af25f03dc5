/* Audit events. Hidden code is told to none of the program's hooks; calls whose original replay does not make are told
 * here, in both modes. */
#ifndef RETROSCOPE_AUDIT_H
#define RETROSCOPE_AUDIT_H

#include <Python.h>
#include <stdbool.h>

/* What CPython tells when `_thread` starts a thread: 3.11 nothing; 3.13 on, of one with a handle (or NULL), the latter.
 * -1 with an exception when a hook forbids it. */
int audit_thread_starts(PyObject *function, PyObject *args, PyObject *kwargs);
int audit_joinable_starts(PyObject *function, int daemon, PyObject *handle);

/* Until audit_sound() the program's hooks are told of nothing. */
void audit_silence(void);
void audit_sound(void);

/* In the child of a fork: the other threads are gone. */
void audit_forked(void);

/* The program's hooks, also in silence: borrowed, or NULL. */
PyObject *audit_hooks(void);
bool audit_is_hook(const void *function);

#endif
