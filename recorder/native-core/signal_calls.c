/* The program's own calls about signals. They run in replay too, where no signal arrives: they have no records. */
#include "count.h"
#include "signals.h"

#include <signal.h>
#include <string.h>

static PyObject *default_handler; /* of SIGINT: it raises KeyboardInterrupt */

/* Is attribute `name` of a function this text? Runs none of the program's code. */
static bool says(PyObject *function, const char *name, const char *text)
{
    PyObject *value = PyObject_GetAttrString(function, name);
    const char *found = value && PyUnicode_Check(value) ? PyUnicode_AsUTF8(value) : NULL;
    bool same = found && strcmp(found, text) == 0;
    Py_XDECREF(value);
    PyErr_Clear();
    return same;
}

/* asyncio's own handlers, which every program that runs its loop has: where they run is not seen but in the loop, and
 * the loop crosses the boundary. So they need no counting, which would make all of the program slower. */
static bool is_of_asyncio(PyObject *handler)
{
    bool partial = strcmp(Py_TYPE(handler)->tp_name, "functools.partial") == 0;
    PyObject *function = partial ? PyObject_GetAttrString(handler, "func") : Py_NewRef(handler);
    bool plain = function && (PyFunction_Check(function) || PyMethod_Check(function));
    bool is = plain && ((says(function, "__module__", "asyncio.unix_events") && says(function, "__name__", "_sighandler_noop")) ||
                        (says(function, "__module__", "asyncio.runners") && says(function, "__name__", "_on_sigint")));
    Py_XDECREF(function);
    PyErr_Clear();
    return is;
}

static int note_handler(PyObject *handler)
{
    if (!handler || handler == default_handler)
        return 0;
    core_hide();
    bool uncounted = is_of_asyncio(handler);
    core_show();
    return uncounted ? 0 : count_because(COUNT_HANDLERS, true);
}

/* What the system does in replay stays as it was. */
static PyObject *install_original(boundary_entry *entry, const boundary_call *call, int number)
{
    struct sigaction before;
    sigset_t timers, mask;
    if (core_mode != MODE_REPLAY)
        return entry->original(entry, call);
    sigemptyset(&timers);
    sigaddset(&timers, SIGPROF);
    sigaddset(&timers, SIGVTALRM);
    sigprocmask(SIG_BLOCK, &timers, &mask); /* the replay's own: between the two sigactions one of them would kill */
    bool keep = sigaction(number, NULL, &before) == 0;
    PyObject *was = entry->original(entry, call);
    if (keep)
        sigaction(number, &before, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return was;
}

/* What CPython says of a signal's handler (owned, or NULL), as the program knows it. */
static PyObject *as_known(PyObject *handler)
{
    PyObject *known = handler ? signals_handler(handler) : NULL;
    if (known)
        Py_SETREF(handler, Py_NewRef(known));
    return handler;
}

/* The real signal(), with a relay in the place of a callable. */
static PyObject *install_relayed(boundary_entry *entry, const boundary_call *call)
{
    int number = PyLong_Check(call->args[0]) ? (int)PyLong_AsLong(call->args[0]) : -1;
    PyErr_Clear();
    bool relays = number > 0 && number <= SIGRTMAX && PyCallable_Check(call->args[1]);
    PyObject *relay = relays ? signals_relay(number, call->args[1]) : NULL;
    if (!relay && PyErr_Occurred())
        return NULL;
    PyObject *args[] = {call->args[0], relay ? relay : call->args[1]};
    const boundary_call relayed = {call->self, args, 2, NULL};
    PyObject *was = install_original(entry, &relayed, number);
    if (was)
        signals_set_relay(number, relay);
    Py_XDECREF(relay);
    return as_known(was);
}

PyObject *signal_install(boundary_entry *entry, const boundary_call *call)
{
    if (signals_at_call() < 0)
        return NULL;
    if (call->kwnames || call->nargs != 2)
        return entry->original(entry, call);
    if (!signals_are_mine()) {
        PyErr_SetString(PyExc_ValueError, "signal only works in main thread of the main interpreter");
        return NULL;
    }
    PyObject *was = install_relayed(entry, call);
    if (was && note_handler(PyCallable_Check(call->args[1]) ? call->args[1] : NULL) < 0)
        Py_CLEAR(was);
    return was;
}

PyObject *signal_get(boundary_entry *entry, const boundary_call *call)
{
    return as_known(entry->original(entry, call));
}

/* In replay the main thread does it as well: the relay, if CPython calls it, does nothing there, but when the handlers
 * are gone at the interpreter's end, CPython complains. Another thread's signal is for the main thread, who knows when. */
PyObject *signal_interrupt_main(boundary_entry *entry, const boundary_call *call)
{
    long number = call->nargs && PyLong_Check(call->args[0]) ? PyLong_AsLong(call->args[0]) : call->nargs ? -1 : SIGINT;
    PyErr_Clear();
    bool again = core_mode == MODE_REPLAY && !call->kwnames && number > 0 && number <= SIGRTMAX;
    PyObject *result = again && !signals_are_mine() ? Py_NewRef(Py_None) : entry->original(entry, call);
    if (result && again && signals_are_mine() && PyErr_CheckSignals() < 0)
        Py_CLEAR(result);
    if (result && signals_at_call() < 0)
        Py_CLEAR(result);
    return result;
}

/* --- the beginning ---------------------------------------------------------------------------------------------- */

static PyObject *begin(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *install, *of_sigint;
    int catches;
    if (!PyArg_ParseTuple(args, "OOp", &install, &of_sigint, &catches))
        return NULL;
    default_handler = Py_NewRef(of_sigint);
    if (!catches)
        Py_RETURN_NONE;
    PyObject *relay = signals_relay(SIGINT, of_sigint);
    PyObject *was = relay ? PyObject_CallFunction(install, "iO", SIGINT, relay) : NULL;
    if (was)
        signals_set_relay(SIGINT, relay);
    Py_XDECREF(relay);
    return was;
}

static PyMethodDef functions[] = {
    {"signals_begin", begin, METH_VARARGS,
     "signals_begin(signal, default_int_handler, catches): handlers are relayed from here on, that of SIGINT now if it\n"
     "is the default one (catches)."},
    {0},
};

int signal_calls_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
