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

static int keep_handler(long number, PyObject *handler)
{
    signals_set_handler(number, handler);
    if (!handler || handler == default_handler)
        return 0;
    core_hide();
    bool uncounted = is_of_asyncio(handler);
    core_show();
    return uncounted ? 0 : count_because(COUNT_HANDLERS, true);
}

/* The real signal(), with the relay in the place of a callable. What the system does in replay stays as it was. */
static PyObject *install_original(boundary_entry *entry, const boundary_call *call)
{
    struct sigaction before;
    PyObject *args[] = {call->args[0], PyCallable_Check(call->args[1]) ? signals_relay() : call->args[1]};
    const boundary_call relayed = {call->self, args, 2, NULL};
    if (!args[1])
        return NULL;
    int number = PyLong_Check(args[0]) ? (int)PyLong_AsLong(args[0]) : -1;
    bool keep = core_mode == MODE_REPLAY && !PyErr_Occurred() && sigaction(number, NULL, &before) == 0;
    PyErr_Clear();
    PyObject *was = entry->original(entry, &relayed);
    if (keep)
        sigaction(number, &before, NULL);
    return was;
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
    PyObject *was = install_original(entry, call);
    if (!was)
        return NULL;
    long number = PyLong_AsLong(call->args[0]);
    PyObject *handler = was == signals_relay() ? signals_handler(number) : NULL;
    if (handler)
        Py_SETREF(was, Py_NewRef(handler));
    if (keep_handler(number, PyCallable_Check(call->args[1]) ? call->args[1] : NULL) < 0)
        Py_CLEAR(was);
    return was;
}

PyObject *signal_get(boundary_entry *entry, const boundary_call *call)
{
    PyObject *result = entry->original(entry, call);
    PyObject *handler = result && result == signals_relay() ? signals_handler(PyLong_AsLong(call->args[0])) : NULL;
    if (handler)
        Py_SETREF(result, Py_NewRef(handler));
    return result;
}

PyObject *signal_interrupt_main(boundary_entry *entry, const boundary_call *call)
{
    long number = call->nargs && PyLong_Check(call->args[0]) ? PyLong_AsLong(call->args[0]) : call->nargs ? -1 : SIGINT;
    PyErr_Clear();
    bool only_said = core_mode == MODE_REPLAY && !call->kwnames && number > 0 && number <= SIGRTMAX;
    PyObject *result = only_said ? Py_NewRef(Py_None) : entry->original(entry, call);
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
    signals_set_handler(SIGINT, of_sigint);
    return signals_relay() ? PyObject_CallFunction(install, "iO", SIGINT, signals_relay()) : NULL;
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
