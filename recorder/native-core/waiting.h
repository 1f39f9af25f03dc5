/* Waiting for something that only another thread can change; the same in recording and replay. */
#ifndef RETROSCOPE_WAITING_H
#define RETROSCOPE_WAITING_H

#include "boundary.h"

#include <stdbool.h>

typedef struct {
    boundary_entry *entry;       /* whose call waits: its RESULT record says when it gave up */
    const boundary_call *call;
    const void *key;             /* what it waits for (turn_wake) */
    double timeout;              /* seconds; negative: none */
} waiting;

/* 1: it succeeded, 0: not now, -1 with an exception set. */
typedef int (*wait_attempt)(boundary_entry *entry, const boundary_call *call);

/* Makes the attempt, which has failed once already, until it succeeds: 1. 0 when the time is over, -1 with an exception. */
int wait_until(const waiting *w, wait_attempt attempt);

/* What threads wait for under this key is there: the first of them may try again. */
void wait_is_over(const void *key);

/* The same inside C code that reckons with other threads only while one waits: no chance to be preempted. */
void wait_is_over_inside(const void *key);

/* The same, but no place where the running thread can be preempted. True when it should be: the first of them was woken
 * before and came too late (recording). */
bool wait_wake(const void *key);

/* Something was to be had at once: another place where a thread can be preempted. */
void wait_was_none(void);

/* Threads that nobody can wake but another thread of the program: they wait without a limit of time, and signals do not
 * interrupt them. The same number in recording and replay. */
unsigned waits_idle(void);

/* In the child of a fork: nobody waits. */
void waits_forked(void);

/* (blocking, timeout) as a lock's acquire has them, or as a queue's get: there -1 is a mistake. 0 and both filled in;
 * 1: the original must complain. */
int wait_arguments(const boundary_call *call, bool queue, bool *blocking, double *timeout);

#endif
