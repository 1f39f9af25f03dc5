/* The turn: the right to run Python code, a lock above the GIL. Exactly one thread holds it.
 *
 * A thread keeps the turn until it blocks, ends or is preempted; each hand-over to another thread is a
 * SWITCH record, written by the thread that takes the turn. So the stream holds the whole running order,
 * and in replay the same places switch between contexts (contexts.h) instead.
 *
 * Until the program starts its first thread nothing here costs anything: turn_is_shared is 0.
 */
#ifndef RETROSCOPE_TURN_H
#define RETROSCOPE_TURN_H

#include "core.h"

#include <stdbool.h>

/* Not 0 once a second thread was started. */
extern int turn_is_shared;

/* The running thread's number: 1 is the main thread, the others by order of start. */
uint32_t turn_thread(void);

/* --- recording only; all are called with the GIL, and release it while they wait --- */

/* Makes the turn shared: the caller, the main thread of so far, holds it. */
void turn_share(void);

/* The calling OS thread is the recorded thread `number` from now on; it does not hold the turn yet. */
void turn_enter(uint32_t number);

/* A thread that waits for the turn. */
typedef struct waiter waiter;

/* The thread `number` is about to be started by the caller, which has the turn: from now on it is among those that want it.
 * When the operating system lets it run for the first time does not matter so, which may be late: it needs the GIL for
 * that, and the running thread may live no longer than the interpreter's switch interval. NULL: no memory. */
waiter *turn_announce(uint32_t number);

/* It could not be started. */
void turn_withdraw(waiter *w);

/* In that thread: takes the turn. `w` is gone then. */
void turn_begin(waiter *w);

/* Did C code start the calling thread, by itself? Then it has no turn and no place in the recording, which says so when
 * the first of them comes to the boundary; what it does is hidden from then on. With the GIL. */
bool turn_is_foreign(void);

/* Gives the turn up before a call that may block, and takes it again afterwards. */
void turn_give(void);
void turn_take(void);

/* Gives the turn up for good: the thread ends. */
void turn_leave(void);

/* Waits, without the turn, until turn_wake(key), `deadline` (CLOCK_MONOTONIC seconds, negative: none) or a
 * moment in which it is wise to look again. Returns with the turn: false when the deadline has passed. */
bool turn_wait(const void *key, double deadline, unsigned failures);

/* The first thread that waits for `key` may go on. True when it was woken before and came too late (`failures`
 * of turn_wait is not 0): then the caller should yield, or a busy thread would keep the lock for ever. */
bool turn_wake(const void *key);

/* Where a hand-over happens, in a SWITCH record: a count (count.h) or one of these. */
#define SWITCH_BLOCKED (-1) /* at a call that waits */
#define SWITCH_SPINNING (-2) /* 3.11: in a loop that is one instruction, and so needs no name: it is never left by itself */
#define SWITCH_YIELDED (-2) /* minus the number of the lock event (waiting.c): taken at once, or released */

/* Gives the turn to a thread that waits for it, if there is one; `place` as above. */
void turn_preempt(int64_t place);

/* Does another thread want the turn? Needs no lock; a guess. */
bool turn_is_wanted(void);

/* In the child of a fork: this thread is alone. */
void turn_forked(void);

#endif
