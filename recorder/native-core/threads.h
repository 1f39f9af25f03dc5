/* Threads of the program: how they start and end, and how they wait for each other.
 *
 * Whatever a thread waits for changes only under the turn: a lock is always tried without waiting; a thread
 * that does not get it gives the turn up, and tries again when it has the turn back. So recording and replay
 * run the same code, and the hand-overs are all that has to be recorded. */
#ifndef RETROSCOPE_THREADS_H
#define RETROSCOPE_THREADS_H

#include "boundary.h"

enum thread_operation {
    THREAD_START, THREAD_START_JOINABLE, THREAD_SENTINEL,
    LOCK_ACQUIRE, LOCK_RELEASE, LOCK_ENTER, LOCK_EXIT,
    RLOCK_ACQUIRE, RLOCK_RELEASE, RLOCK_ENTER, RLOCK_EXIT, RLOCK_OWNED, RLOCK_SAVE, RLOCK_RESTORE, RLOCK_COUNT,
    QUEUE_GET, QUEUE_PUT,
    IMPORT_ACQUIRE, IMPORT_RELEASE, IMPORT_HELD, BUFFER_USE,
    THREAD_COUNT,
    HANDLE_JOIN, HANDLE_IS_DONE, HANDLE_IDENT, HANDLE_SHUTDOWN, HANDLE_SET_DONE,
    THREAD_EXCEPTHOOK, THREAD_TEMPORARY, THREAD_TEMPORARY_JOIN,
    SIGNAL_INSTALL, SIGNAL_GET, SIGNAL_INTERRUPT_MAIN,
};

/* One call of a callable with POLICY_THREAD; entry->index is the operation. */
PyObject *threads_call(boundary_entry *entry, const boundary_call *call);

/* Runs the original of a call that may block: other threads may run meanwhile (recording). */
PyObject *threads_call_blocking(boundary_entry *entry, const boundary_call *call);

/* In the child of a fork: the calling thread is the only one. threads_recount() is to follow once its hooks have run. */
void threads_forked(void);

/* Places are counted from here on if the running thread could be preempted for another one, and not otherwise. 0, or -1
 * with an exception. */
int threads_recount(void);

/* Has this thread given the turn up, inside such a call? What the call calls back must have it: take, run, give. */
bool threads_without_turn(void);
void threads_take_turn(void);
void threads_give_turn(void);

#endif
