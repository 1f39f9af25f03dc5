/* CPython's own test extension has C code start a thread that calls one function of the program. Here it is a thread of
 * the program like others, which nobody joins but that extension. */
#include "thread_records.h"
#include "turn.h"
#include "waiting.h"

static uint32_t latest; /* its number; 0: none that is still to be joined */

static int try_over(boundary_entry *Py_UNUSED(entry), const boundary_call *Py_UNUSED(call))
{
    return !thread_by_number(latest);
}

/* The extension waits for the thread in the operating system as well. */
static PyObject *forget(PyObject *module)
{
    latest = 0;
    if (core_mode != MODE_RECORD)
        Py_RETURN_NONE;
    core_hidden++;
    PyObject *done = PyObject_CallMethod(module, "join_temporary_c_thread", NULL);
    core_hidden--;
    return done;
}

static PyObject *join(boundary_entry *entry, const boundary_call *call)
{
    const waiting w = {entry, call, thread_by_number(latest), -1};
    if (w.key && wait_until(&w, try_over) < 0)
        return NULL;
    return forget(call->self);
}

PyObject *temporary_start(boundary_entry *entry, const boundary_call *call)
{
    int waits = call->nargs < 2 ? 1 : PyObject_IsTrue(call->args[1]);
    if (call->kwnames || call->nargs < 1 || waits < 0)
        return waits < 0 ? NULL : entry->original(entry, call);
    PyObject *nothing = PyTuple_New(0), *not_waiting = Py_False;
    thread *t = nothing ? thread_new(call->args[0], nothing, NULL) : NULL;
    Py_XDECREF(nothing);
    if (!t)
        return NULL;
    t->daemon = t->is_of_c = true;
    uint32_t number = t->number;
    PyObject *ident = thread_launch(entry, call->self, t, &not_waiting, 1);
    if (!ident)
        return NULL;
    Py_DECREF(ident);
    latest = number;
    return waits ? join(entry, call) : Py_NewRef(Py_None);
}

PyObject *temporary_join(boundary_entry *entry, const boundary_call *call)
{
    return latest ? join(entry, call) : entry->original(entry, call);
}
