/* Methods of `_io`'s buffered files in terms of the turn; see threads.h. */
#ifndef RETROSCOPE_BUFFERS_H
#define RETROSCOPE_BUFFERS_H

#include "boundary.h"

/* One call of a method that takes the lock inside the file: no two threads are in such methods of one file. */
PyObject *buffer_use(boundary_entry *entry, const boundary_call *call);

/* In the child of a fork: who else was inside is not there. */
void buffers_forked(void);

#endif
