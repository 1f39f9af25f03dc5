/* Counting where a running thread can be preempted: function entries and backward jumps (3.12 and later), lines
 * (3.11). On only while more than one thread is alive; recording and replay count the same events. */
#ifndef RETROSCOPE_COUNT_H
#define RETROSCOPE_COUNT_H

#include "core.h"

#include <stdbool.h>

/* On when `alive` threads are more than one. Called by the thread that starts another, and by one that ends. */
int count_for(unsigned alive);

/* The calling thread begins: it counts too. */
void count_thread_begins(void);

/* Replay: the count at which the running thread was preempted, -1: it was not. */
void count_expect(int64_t count);

/* Replay on 3.11: a line event of the tick handler. */
void count_line(void);

/* From now on preemptions are drawn at random instead of by time. */
void count_set_chaos(uint64_t seed);

/* Recording with chaos: shall the thread be preempted where it takes or releases a lock now? */
bool count_chaos_strikes(void);

/* Counted events so far. */
int64_t count_so_far(void);

extern int count_is_on;

#endif
