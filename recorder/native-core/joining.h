/* The door of the drain: where a further process of the recorded program asks for a ring of its own.
 *
 * A socket in the abstract namespace whose name every ring carries, so that no process has to keep a descriptor that
 * the program would see. One message each way, and the socket is closed again. Linux only. */
#ifndef RETROSCOPE_JOINING_H
#define RETROSCOPE_JOINING_H

#include "ring.h"

/* A place for a process that is about to be forked: asked for by its parent, so that it is sure of it even when the
 * parent is gone a moment later. Descriptors; both -1 when nobody can give one. */
typedef struct {
    int connection, ring;
} joining_place;

/* The calling process is about to fork; its stream holds so many bytes and records. */
joining_place joining_ask(const ring_header *parent, uint64_t bytes, uint64_t records);

/* In the child: it has taken its place. The ring's descriptor stays open, the connection does not. */
void joining_take(joining_place *place);

/* In the parent, whatever became of the fork. */
void joining_leave(joining_place *place);

/* The calling process was started by process `number`, and is described so (marshalled): a ring's descriptor, or -1. */
int joining_start(const char *door, int number, const char *facts, size_t size);

/* The process `pid` was started and will ask for a ring. */
void joining_saw_start(const ring_header *ours, int pid);

/* The process `pid` has ended so (as of waitpid), which only its parent can know. Nobody may be listening. */
void joining_saw_end(const ring_header *ours, int pid, int status);

#endif
