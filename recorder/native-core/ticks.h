/* Ticks: the count of line events of the whole process, the coordinate of time in replay.
 *
 * 3.12 and later: sys.monitoring LINE, PY_START and RAISE events under a tool id of our own; 3.11: a C trace
 * function. The same events are on in every run, whatever is sought, so that every run evolves the same memory
 * image; the handlers allocate nothing.
 */
#ifndef RETROSCOPE_TICKS_H
#define RETROSCOPE_TICKS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#define TICK_UNKNOWN UINT64_MAX

/* Line events so far. Changed only by the handler. */
extern uint64_t ticks_now;

/* Above 0: our own Python code runs; no event counts and nothing matches. */
extern uint32_t ticks_hidden;

static inline void ticks_hide(void)
{
    ticks_hidden++;
}

static inline void ticks_show(void)
{
    ticks_hidden--;
}

/* Starts counting in this interpreter (3.11: in the running thread): 0, or -1 with an exception set. */
int ticks_start(void);
int ticks_stop(void);

/* The next line event at which the handler leaves its fast path: search_line and control_tick decide there.
 * 0: every one. */
void ticks_wake_at(uint64_t tick);

/* The same, but never later than it was. */
void ticks_wake_by(uint64_t tick);

/* One line event of a frame that is to run untraced; false where somebody has to see it. */
bool ticks_take(void);

/* The tick of the line that first raised this exception object, TICK_UNKNOWN if that was not seen. */
uint64_t ticks_of_raise(PyObject *exception);

/* 3.12 and later: the monitoring tool that is ours, -1: none yet. */
int ticks_tool(void);

int ticks_register(PyObject *module);

#endif
