/* CPython 3.11 has one trace function for each thread. Ours, which counts lines, stands in front of the program's: the
 * program's object stays in the thread state, where sys.gettrace() finds it, and only the C function is exchanged.
 * Later versions count with sys.monitoring and need none of this. */
#ifndef RETROSCOPE_TRACER_H
#define RETROSCOPE_TRACER_H

#include "core.h"

#include <stdbool.h>

#if PY_VERSION_HEX < 0x030C0000

/* This thread is traced by `ours` from now on, and by the program's own function behind it; NULL: by the program's own
 * alone. */
void tracer_set(Py_tracefunc ours);

/* Whether any thread has had a function of the program's behind ours. */
extern bool tracer_theirs;

int tracer_pass_on(PyObject *object, PyFrameObject *frame, int what, PyObject *arg);

/* At the end of ours: what the program's own function says of the event, 0 without one. */
static inline int tracer_call_theirs(PyObject *object, PyFrameObject *frame, int what, PyObject *arg)
{
    return tracer_theirs ? tracer_pass_on(object, frame, what, arg) : 0;
}

#endif

/* The program may have exchanged the trace function of this thread: ours goes in front again. */
void tracer_check(void);

#endif
