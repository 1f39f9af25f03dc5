/* For Python: what a recorded process needs to start others, and to join a recording itself. */
#define _GNU_SOURCE
#include "encode.h"
#include "joining.h"

#include <string.h>
#include <unistd.h>

static PyObject *door(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    const char *name = core_mode == MODE_RECORD ? record_door() : "";
    return PyBytes_FromStringAndSize(name, (Py_ssize_t)strnlen(name, sizeof ((ring_header *)0)->door));
}

static PyObject *process(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return PyLong_FromLong(record_process());
}

/* As it is now: the interpreter's own dict is as it was at the start. */
static PyObject *environment(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    PyObject *list = PyList_New(0);
    for (char **entry = environ; list && entry && *entry; entry++) {
        PyObject *bytes = PyBytes_FromString(*entry);
        if (!bytes || PyList_Append(list, bytes) < 0)
            Py_CLEAR(list);
        Py_XDECREF(bytes);
    }
    return list;
}

static PyObject *join(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *name, *facts;
    int parent;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "siy#", &name, &parent, &facts, &size))
        return NULL;
    return PyLong_FromLong(joining_start(name, parent, facts, (size_t)size));
}

static PyObject *calls_exec(PyObject *Py_UNUSED(module), PyObject *on)
{
    record_calls_exec(PyObject_IsTrue(on) == 1);
    Py_RETURN_NONE;
}

static PyObject *saw_start(PyObject *Py_UNUSED(module), PyObject *pid)
{
    int number = (int)PyLong_AsLong(pid);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (core_mode == MODE_RECORD)
        record_saw_start(number);
    Py_RETURN_NONE;
}

static PyObject *saw_end(PyObject *Py_UNUSED(module), PyObject *args)
{
    int pid, status;
    if (!PyArg_ParseTuple(args, "ii", &pid, &status))
        return NULL;
    if (core_mode == MODE_RECORD)
        record_saw_end(pid, status);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"door", door, METH_NOARGS, "door() -> bytes: where further processes join this recording; empty: nowhere."},
    {"process", process, METH_NOARGS, "process() -> int: this process's number in the trace."},
    {"environment", environment, METH_NOARGS, "environment() -> list of b'NAME=VALUE', as C has them now."},
    {"join", join, METH_VARARGS, "join(door, parent, facts) -> int: the descriptor of a ring for this process, or -1."},
    {"calls_exec", calls_exec, METH_O, "calls_exec(on): this process calls exec now; or did, in vain."},
    {"saw_start", saw_start, METH_O, "saw_start(pid): a process that will join."},
    {"saw_end", saw_end, METH_VARARGS, "saw_end(pid, status): how a process ended, as of waitpid, for the trace."},
    {0},
};

int family_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
