/* The observer: a replay process that writes down what the program does, line by line. Seam 6 of docs/architecture.md.
 *
 * It takes nothing from the Python heap and leaves the interpreter's counters as they are, so an observed run is the
 * run that is not observed: the same ticks, the same objects at the same addresses.
 */
#ifndef RETROSCOPE_OBSERVE_H
#define RETROSCOPE_OBSERVE_H

#include "frames.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether this process observes. */
extern bool observing;

enum observe_what { OBSERVE_ALL_CODE = 1 };

/* Begins at the tick where the process stands; takes the descriptor: false if `what` is unknown or there is no room. */
bool observe_begin(int fd, uint32_t what);

/* Sends what it holds: before the process stops. */
void observe_flush(void);

/* The same for the last time: the program is over, and perhaps its code objects with it. */
void observe_last(void);

/* This process is a fork of an observer: it observes no more. */
void observe_forget(void);

/* From the tick handler: a line event, which is tick ticks_now; a frame that begins; an exception newly raised. */
void observe_line(const frame *f, int line);
void observe_start(const frame *f);
void observe_raise(const frame *f, PyObject *exception);

/* Before the first tick: 0, or -1 with an exception set. */
int observe_prepare(void);

/* An exception, newly raised or not, leaves the instruction at which the frame stands. */
void observe_passing(const frame *f);

/* 3.11, from the trace function: the innermost frame, `f`, returns or yields this. */
void observe_return(const frame *f, PyObject *value);

/* 3.11: the innermost frame has "opcode" events from now on if its code stores what has to be seen; and such an event:
 * an instruction is about to run. */
void observe_opcodes_of(PyFrameObject *f);
void observe_opcode(const frame *f);

#endif
