/* The program forks: os.fork and os.forkpty (POLICY_FORK).
 *
 * Recording: the parent writes a FORK record just before the fork. The child gets a ring of its own, and its stream
 * begins with a FORK record of its own. What runs in the child inside the call (thread-local data of the threads that
 * are gone dies, the hooks of os.register_at_fork run) is recorded as any other code of the program.
 * Replay of the child: the stream up to the parent's FORK record, then the child's: at its FORK record this process
 * becomes the child, without any fork. */
#ifndef RETROSCOPE_FORKS_H
#define RETROSCOPE_FORKS_H

#include "boundary.h"

/* Installs what has to happen around every fork() of a recorded process: 0, or an error number. */
int forks_watch(void);

/* One such call, recording. */
PyObject *forks_record(boundary_entry *entry, const boundary_call *call);

/* Around such a call, recording and replay: false with an exception. The hooks that run in the parent run here. */
bool forks_begin(boundary_entry *entry, const boundary_call *call);
void forks_end(bool in_child);

/* In replay, where the call may fork: what the record says. True when more callbacks of the call may follow. */
bool forks_replay(bool *in_child);

#endif
