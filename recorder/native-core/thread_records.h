/* The threads of the program that were started after the recorder came; what threads.c and handles.c share. */
#ifndef RETROSCOPE_THREAD_RECORDS_H
#define RETROSCOPE_THREAD_RECORDS_H

#include "boundary.h"

#include <stdbool.h>

typedef struct thread {
    struct thread *next;
    uint32_t number;
    unsigned long ident;        /* as recorded */
    PyObject *function, *args, *kwargs;
    PyObject *handle;           /* 3.13: its _ThreadHandle, borrowed until the handle dies */
    PyObject *sentinel;         /* 3.11, 3.12: the lock that is released when it ends; owned */
    struct waiter *arrival;     /* recording: its place among those that want the turn, until it begins */
    bool daemon, over;
    bool is_of_c;               /* C code started it: it has no handle, and prints what it raises */
} thread;

/* Those that are alive, or whose handle is. */
extern thread *threads_known;

thread *thread_by_number(uint32_t number);

/* In replay: the ident as recorded, 0 when it is not known any more. */
unsigned long thread_ident_of(uint32_t number);
void thread_forget(thread *t);

/* A new record for a thread that will run function(*args, **kwargs), or NULL with an exception; thread_drop takes it
 * back when the thread could not be started. */
thread *thread_new(PyObject *function, PyObject *args, PyObject *kwargs);
void thread_drop(thread *t);

/* Starts it: through the original of `entry`, whose further arguments are `rest` (recording), or as a context (replay).
 * Its ident, a new reference, or NULL with the exception; the outcome is recorded, or is the recorded one. */
PyObject *thread_launch(boundary_entry *entry, PyObject *module, thread *t, PyObject *const *rest, Py_ssize_t nrest);

/* 3.13's handles; see boundary/threads.py. */
PyObject *handle_start(boundary_entry *entry, const boundary_call *call);
PyObject *handle_join(boundary_entry *entry, const boundary_call *call);
PyObject *handle_is_done(boundary_entry *entry, const boundary_call *call);
PyObject *handle_ident(boundary_entry *entry, const boundary_call *call);
PyObject *handle_set_done(boundary_entry *entry, const boundary_call *call);
PyObject *handle_shutdown(boundary_entry *entry, const boundary_call *call);

/* Threads that CPython's test extension starts in C; see boundary/testing.py. */
PyObject *temporary_start(boundary_entry *entry, const boundary_call *call);
PyObject *temporary_join(boundary_entry *entry, const boundary_call *call);

#endif
