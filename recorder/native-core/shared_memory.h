/* Memory that the program shares through `mmap`: what other processes write there, and what itself writes to a mapped file.
 *
 * Nothing tells when another process writes. But a program that works looks only after it has synchronised with the
 * others, which takes an input: so after an input of a process that shares memory, what differs from the picture that
 * we keep goes into a MEMORY record before that of the input, and replay puts it into its own memory there. (What the
 * process itself has written is among it, and does no harm.) A large mapping is looked at after calls that may wait
 * only. What is read before the next input after it was written is what replay cannot know; a note says so.
 *
 * A call that writes to a file which is mapped changes the map: that goes into such a record at once. */
#ifndef RETROSCOPE_SHARED_MEMORY_H
#define RETROSCOPE_SHARED_MEMORY_H

#include "boundary.h"
#include "decode.h"

#include <stdbool.h>

/* The program forks, or maps a file that other processes can have: from now on others may write. */
void shared_memory_begins(void);

/* Recording, before the outcome of an input is written. `waited`: the call is one that may wait. */
void shared_memory_record(bool waited);

/* The same for what the call itself wrote to a file: `result` is what it returned, or NULL. */
void shared_memory_written(const boundary_entry *entry, const boundary_call *call, PyObject *result);

/* Replay: what a MEMORY record says. */
void shared_memory_replay(const record_view *record);

int shared_memory_register(PyObject *module);

#endif
