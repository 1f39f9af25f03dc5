/* Counting the places at which a running thread can be preempted or a signal handler be run: function entries and
 * backward jumps; on 3.11, which does not tell of these, all lines of code that has such jumps. On only while more than one
 * thread could run, and once the program has signal handlers; recording and replay count the same events. */
#ifndef RETROSCOPE_COUNT_H
#define RETROSCOPE_COUNT_H

#include "core.h"

#include <stdbool.h>

enum count_reason {
    COUNT_THREADS = 1,  /* more than one thread could run: see threads_recount() */
    COUNT_HANDLERS = 2, /* the program has installed a signal handler */
};

/* Counts as long as there is a reason. Called by the thread that changes it: 0, or -1 with an exception set. */
int count_because(enum count_reason reason, bool on);

/* Every event comes to signals.h, counted or not: a signal waits for one, or (in replay) its place is sought. */
int count_watch(bool on);

/* Recording: the next event is looked at, for a signal waits. */
void count_wake(void);

/* The calling thread begins: it counts too. */
void count_thread_begins(void);

/* Recording: the calling thread has the turn again, after another one. */
void count_resumes(void);

/* Replay: the next count at which something was recorded, -1: there is none. */
void count_expect(int64_t count);

/* Recording: a signal came while this frame ran. Should it be in a loop that makes no events (3.11), it makes some now. */
void count_frame(PyFrameObject *f);

/* Replay on 3.11: an opcode event of the tick handler. -1 with the exception that a signal handler raised. */
int count_opcode(void);

/* Events are counted: not 0 while there is a reason. */
extern int count_is_on;

/* This process traces (3.11) or monitors in order to count, or to watch. */
extern bool count_events_are_on;

/* The same of a line event, */
int count_line_event(PyFrameObject *f);

static inline int count_line(PyFrameObject *f)
{
    return count_events_are_on ? count_line_event(f) : 0;
}

/* and of a call event. Nobody watches for these. */
int count_call_event(void);

static inline int count_call(void)
{
    return count_is_on ? count_call_event() : 0;
}

/* Recording on 3.11: a function is entered that tracing need not tell of: whether nothing has to happen at the entry. It is
 * counted then. */
bool count_entry(void);

/* From now on preemptions are drawn at random instead of by time. */
void count_set_chaos(uint64_t seed);

/* Recording with chaos: shall the thread be preempted where it takes or releases a lock now? */
bool count_chaos_strikes(void);

/* Recording: another thread wants the turn, and none did before. With chaos the next preemption is drawn anew. */
void count_chaos_begins(void);

/* Recording: which of so many that want the turn, in the order in which they began to, gets it: the first, but with chaos
 * any, or for a while always the last. */
unsigned count_chaos_picks(unsigned ready);

/* Counted events so far. */
int64_t count_so_far(void);

#endif
