/* Recorded threads in replay: user-level contexts in one OS thread, switched at the recorded places. So a raw
 * fork() is a complete snapshot of a program with many threads. */
#ifndef RETROSCOPE_CONTEXTS_H
#define RETROSCOPE_CONTEXTS_H

#include "core.h"
#include "frames.h"

#include <stdbool.h>

/* What a context runs: returns when the thread is over, its thread state still there. */
typedef void (*context_main)(void *argument);

/* A context for the recorded thread `number`, which does not run yet; `stack_size` in bytes, 0: the default.
 * 0, or -1 with an exception set. */
int context_create(uint32_t number, size_t stack_size, context_main main, void *argument);

/* Its thread state gets the recorded ident: sys._current_frames() and PyThreadState_SetAsyncExc() go by it. */
void context_set_ident(uint32_t number, unsigned long ident);

/* The next record must be a hand-over at a blocking call: makes it. Returns when the caller runs again. */
void context_switch_as_recorded(void);

/* Is the next record the hand-over at this place (turn.h)? */
bool context_switch_is_at(int64_t place);

/* The next record must be the hand-over at this place: makes it. */
void context_preempt(int64_t place);

/* What the running thread is about to wait for, should it have to: the callable's name and its self, borrowed; they stay
 * for as long as it waits. */
void context_may_wait(PyObject *callable, PyObject *self);

/* Whether this thread was started and is not over. */
/* One more than the highest number given so far; the innermost frame of a thread that stands, NULL: it has none. */
uint32_t contexts_known(void);
const frame *context_frame(uint32_t number);

bool context_lives(uint32_t number);

/* In the child of a fork: only the running context is left. */
void contexts_forked(void);

/* The count of the next hand-over if that is by preemption, -1 otherwise. */
int64_t context_next_preemption(void);

#endif
