#include "tracer.h"

#if PY_VERSION_HEX < 0x030C0000

#include "frames.h"

#include <stddef.h>

/* What stood in a thread state before ours. Thread states are reused; an entry is made anew when ours comes in. */
typedef struct entry {
    PyThreadState *state;
    Py_tracefunc ours, theirs;
    struct entry *next;
} entry;

static entry *entries;
bool tracer_theirs;

static entry *entry_of(PyThreadState *state)
{
    entry **at = &entries;
    while (*at && (*at)->state != state)
        at = &(*at)->next;
    entry *found = *at;
    if (!found) {
        found = PyMem_RawCalloc(1, sizeof *found);
        if (!found)
            Py_FatalError("retroscope: no memory for the trace function of a thread");
        found->state = state;
    } else {
        *at = found->next; /* to the front: the next question is of the same thread */
    }
    found->next = entries;
    entries = found;
    return found;
}

/* Does what PyEval_SetTrace does for the interpreter, and tells nobody: it is not the program that asks. */
static void exchange(PyThreadState *state, Py_tracefunc function)
{
    state->c_tracefunc = function;
    PyThreadState_EnterTracing(state);
    PyThreadState_LeaveTracing(state);
}

static void put_in_front(PyThreadState *state, entry *e)
{
    if (!e->ours || state->c_tracefunc == e->ours)
        return;
    e->theirs = state->c_tracefunc;
    tracer_theirs |= e->theirs != NULL;
    exchange(state, e->ours);
}

void tracer_set(Py_tracefunc ours)
{
    PyThreadState *state = PyThreadState_Get();
    entry *e = entry_of(state);
    if (e->ours == ours && (!ours || state->c_tracefunc == ours))
        return;
    if (e->ours && state->c_tracefunc == e->ours)
        exchange(state, e->theirs);
    e->ours = ours;
    put_in_front(state, e);
}

int tracer_pass_on(PyObject *object, PyFrameObject *frame, int what, PyObject *arg)
{
    PyThreadState *state = PyThreadState_Get();
    entry *e = entry_of(state);
    if (!e->theirs || (what == PyTrace_OPCODE && frames_opcodes_are_ours(frame)))
        return 0;
    int result = e->theirs(object, frame, what, arg);
    put_in_front(state, entry_of(state)); /* it may have set another one */
    return result;
}

void tracer_check(void)
{
    PyThreadState *state = PyThreadState_Get();
    put_in_front(state, entry_of(state));
}

#else

void tracer_check(void)
{
}

#endif
