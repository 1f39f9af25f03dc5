/* The operations of locks.c; each is one call of the program. */
#ifndef RETROSCOPE_LOCKS_H
#define RETROSCOPE_LOCKS_H

#include "boundary.h"

#include <stdbool.h>

/* The recorded ident of the running thread, as threading.get_ident() shows it. */
unsigned long thread_ident(void);

PyObject *lock_acquire(boundary_entry *entry, const boundary_call *call);
PyObject *lock_release(boundary_entry *entry, const boundary_call *call);

PyObject *rlock_acquire(boundary_entry *entry, const boundary_call *call);
PyObject *rlock_release(const boundary_call *call);
PyObject *rlock_is_owned(const boundary_call *call);
PyObject *rlock_count(const boundary_call *call);
PyObject *rlock_release_save(const boundary_call *call);
PyObject *rlock_acquire_restore(boundary_entry *entry, const boundary_call *call);
PyObject *queue_get(boundary_entry *entry, const boundary_call *call);
PyObject *queue_put(boundary_entry *entry, const boundary_call *call);
PyObject *import_acquire(boundary_entry *entry, const boundary_call *call);
PyObject *import_release(void);
PyObject *import_held(void);

/* In the child of a fork. */
void import_forked(void);

#endif
