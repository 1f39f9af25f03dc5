/* Memory that the program shares through `mmap`: what other processes write there, and what it writes itself to a mapped
 * file.
 *
 * Nothing tells when another process writes. But a program that works looks only after it has synchronised with the
 * others, which takes an input. So both sides keep a picture of what the memory held after an input. Recording, what
 * differs from it goes into a MEMORY record before that of the next input; replay puts that into its picture, and then
 * makes its memory what the picture is. (What the process itself has written is in it as well. It must be: it may have
 * been overwritten since with what was there before, and then nothing differs.) A large map is looked at only after
 * calls that may wait, or that ask what others have done, and where a signal's handler begins. What is read before the
 * next input after it was written is what replay cannot know; a note says so.
 *
 * A call that writes to a file which is mapped changes the map: that goes into such a record at once. */
#ifndef RETROSCOPE_SHARED_MEMORY_H
#define RETROSCOPE_SHARED_MEMORY_H

#include "boundary.h"
#include "decode.h"
#include "maps.h"

#include <stdbool.h>

/* The program forks or starts a process, or maps a file that other processes can have: from now on others may write. */
void shared_memory_begins(void);

/* There is a map more. `pieces`: a list of (place, content), what the record says it holds, besides zeros; None: what it
 * does hold. */
void shared_memory_watch(mapping *m, PyObject *pieces);

/* Recording, before the outcome of an input is written. Replay: when what stands before the outcome was taken. */
void shared_memory_record(const boundary_entry *entry);
void shared_memory_restore(const boundary_entry *entry);

/* The same where no outcome follows: after the record of a signal. */
void shared_memory_record_inside(void);
void shared_memory_replay_inside(void);

/* The same for what the call itself wrote to a file: `result` is what it returned, or NULL. */
void shared_memory_written(const boundary_entry *entry, const boundary_call *call, PyObject *result);

/* Replay: what a MEMORY record says. */
void shared_memory_replay(const record_view *record);

#endif
