/* 3.13: `_thread._ThreadHandle`. Whether a thread is over is decided under the turn, when its last Python code has run;
 * the OS thread ends a moment later. */
#include "audit.h"
#include "locks.h"
#include "thread_records.h"
#include "turn.h"
#include "waiting.h"

static thread *by_handle(PyObject *handle)
{
    for (thread *t = threads_known; t; t = t->next)
        if (t->handle == handle)
            return t;
    return NULL;
}

static destructor handle_dealloc;

/* A handle may die before or after its thread. */
static void handle_dies(PyObject *handle)
{
    thread *t = by_handle(handle);
    if (t) {
        t->handle = NULL;
        if (t->over)
            thread_forget(t);
    }
    handle_dealloc(handle);
}

static PyObject *new_handle(void)
{
    PyObject *module = PyImport_ImportModule("_thread");
    PyObject *made = module ? PyObject_CallMethod(module, "_ThreadHandle", NULL) : NULL;
    Py_XDECREF(module);
    return made;
}

static void watch(PyObject *handle)
{
    if (handle_dealloc)
        return;
    handle_dealloc = Py_TYPE(handle)->tp_dealloc;
    Py_TYPE(handle)->tp_dealloc = handle_dies;
}

PyObject *handle_start(boundary_entry *entry, const boundary_call *call)
{
    PyObject *function = boundary_argument(call, 0, "function"), *handle = boundary_argument(call, 1, "handle"), *daemon = boundary_argument(call, 2, "daemon");
    int is_daemon = daemon ? PyObject_IsTrue(daemon) : 1;
    if (!function || !PyCallable_Check(function) || is_daemon < 0)
        return is_daemon < 0 ? NULL : entry->original(entry, call);
    if (audit_joinable_starts(function, is_daemon, handle) < 0)
        return NULL;
    handle = handle && handle != Py_None ? Py_NewRef(handle) : new_handle();
    PyObject *nothing = handle ? PyTuple_New(0) : NULL;
    thread *t = nothing ? thread_new(function, nothing, NULL) : NULL;
    Py_XDECREF(nothing);
    PyObject *ident = NULL;
    if (t) {
        t->daemon = is_daemon;
        t->handle = handle;
        watch(handle);
        PyObject *rest[] = {handle, t->daemon ? Py_True : Py_False};
        ident = thread_launch(entry, call->self, t, rest, 2);
    }
    if (!ident)
        Py_CLEAR(handle);
    Py_XDECREF(ident);
    return handle;
}

static int try_over(boundary_entry *Py_UNUSED(entry), const boundary_call *call)
{
    thread *t = by_handle(call->self);
    return !t || t->over;
}

/* 1 when the thread of a handle is over, as CPython knows it; 0, or -1 with an exception. */
static int try_done(boundary_entry *Py_UNUSED(entry), const boundary_call *call)
{
    core_hidden++;
    PyObject *done = PyObject_CallMethod(call->self, "is_done", NULL);
    core_hidden--;
    int yes = done ? PyObject_IsTrue(done) : -1;
    Py_XDECREF(done);
    return yes;
}

/* The identity of a handle's thread, 0 if none was started. */
static unsigned long ident_of(PyObject *handle)
{
    core_hidden++;
    PyObject *ident = PyObject_GetAttrString(handle, "ident");
    core_hidden--;
    unsigned long value = ident ? PyLong_AsUnsignedLong(ident) : 0;
    Py_XDECREF(ident);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return value;
}

/* That of a thread that was there before us: the main one, which is over when threading says so. One that is not started,
 * and the own one, cannot be waited for: the original says so. */
static PyObject *join_unknown(boundary_entry *entry, const boundary_call *call)
{
    PyObject *limit = boundary_argument(call, 0, "timeout");
    double timeout = limit && limit != Py_None ? PyFloat_AsDouble(limit) : -1;
    if (PyErr_Occurred())
        return NULL;
    unsigned long ident = ident_of(call->self);
    int done = ident == 0 || ident == thread_ident() ? 1 : try_done(entry, call);
    if (!done && timeout != 0 && turn_is_shared) {
        const waiting w = {entry, call, call->self, timeout};
        done = wait_until(&w, try_done);
    }
    if (done < 0)
        return NULL;
    return done || !turn_is_shared ? entry->original(entry, call) : Py_NewRef(Py_None);
}

PyObject *handle_join(boundary_entry *entry, const boundary_call *call)
{
    thread *t = by_handle(call->self);
    if (!t)
        return join_unknown(entry, call);
    PyObject *limit = boundary_argument(call, 0, "timeout");
    double timeout = limit && limit != Py_None ? PyFloat_AsDouble(limit) : -1;
    if (PyErr_Occurred())
        return NULL;
    if (t->number == turn_thread()) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot join current thread");
        return NULL;
    }
    if (!t->over && timeout != 0) {
        const waiting w = {entry, call, t, timeout};
        if (wait_until(&w, try_over) < 0)
            return NULL;
    }
    /* CPython's own join ends at once now; it also takes note that the OS thread is gone. */
    if (core_mode == MODE_RECORD && t->over)
        return entry->original(entry, call);
    Py_RETURN_NONE;
}

PyObject *handle_is_done(boundary_entry *entry, const boundary_call *call)
{
    thread *t = by_handle(call->self);
    return t ? PyBool_FromLong(t->over) : entry->original(entry, call);
}

PyObject *handle_ident(boundary_entry *entry, const boundary_call *call)
{
    thread *t = by_handle(call->self);
    if (t && t->ident) /* thread_launch asks before it knows, and wants the original's answer */
        return PyLong_FromUnsignedLong(t->ident);
    PyObject *ident = entry->original(entry, call);
    if (ident && core_mode == MODE_REPLAY && PyLong_AsUnsignedLong(ident) == PyThread_get_thread_ident())
        Py_SETREF(ident, PyLong_FromUnsignedLong(thread_ident())); /* after a fork, see forks.c */
    return ident;
}

/* The thread is gone, because this is the child of a fork. */
PyObject *handle_set_done(boundary_entry *entry, const boundary_call *call)
{
    thread *t = by_handle(call->self);
    if (t)
        t->over = true;
    if (t && core_mode == MODE_REPLAY)
        Py_RETURN_NONE;
    PyObject *result = entry->original(entry, call);
    if (result && !t)
        wait_is_over(call->self);
    return result;
}

static thread *awaited_at_exit(void)
{
    for (thread *t = threads_known; t; t = t->next)
        if (!t->daemon && !t->over && t->number != turn_thread())
            return t;
    return NULL;
}

static int try_thread_over(boundary_entry *Py_UNUSED(entry), const boundary_call *call)
{
    thread *t = thread_by_number((uint32_t)PyLong_AsLong(call->args[0]));
    return !t || t->over;
}

/* threading's end: all threads that are no daemons are awaited. */
PyObject *handle_shutdown(boundary_entry *entry, const boundary_call *call)
{
    for (thread *t; (t = awaited_at_exit());) {
        PyObject *number = PyLong_FromUnsignedLong(t->number);
        const boundary_call about = {NULL, &number, 1, NULL};
        const waiting w = {entry, &about, t, -1};
        int done = wait_until(&w, try_thread_over);
        Py_DECREF(number);
        if (done < 0)
            return NULL;
    }
    return core_mode == MODE_RECORD ? entry->original(entry, call) : Py_NewRef(Py_None);
}
