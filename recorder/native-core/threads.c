#define _GNU_SOURCE
#include "threads.h"
#include "contexts.h"
#include "control.h"
#include "count.h"
#include "decode.h"
#include "errors.h"
#include "locks.h"
#include "replay.h"
#include "turn.h"
#include "waiting.h"

#include <poll.h>
#include <string.h>

/* A thread of the program that was started after the recorder came. */
typedef struct thread {
    struct thread *next;
    uint32_t number;
    unsigned long ident;        /* as recorded */
    PyObject *function, *args, *kwargs;
    PyObject *handle;           /* 3.13: its _ThreadHandle, borrowed until the handle dies */
    PyObject *sentinel;         /* 3.11, 3.12: the lock that is released when it ends; owned */
    bool daemon, over;
} thread;

static thread *threads;         /* those that are alive, or whose handle is */
static uint32_t started = 1;    /* numbers given; 1 is the main thread */
static unsigned alive = 1;
static unsigned long main_ident;

static thread *by_number(uint32_t number)
{
    for (thread *t = threads; t; t = t->next)
        if (t->number == number)
            return t;
    return NULL;
}

static thread *by_handle(PyObject *handle)
{
    for (thread *t = threads; t; t = t->next)
        if (t->handle == handle)
            return t;
    return NULL;
}

unsigned long thread_ident(void)
{
    if (core_mode != MODE_REPLAY)
        return PyThread_get_thread_ident();
    thread *t = by_number(core_thread);
    return t ? t->ident : main_ident;
}

static void forget(thread *t)
{
    for (thread **at = &threads; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    PyMem_RawFree(t);
}

/* --- the end of a thread ---------------------------------------------------------------------------------- */

/* As CPython's thread_run reports it. */
static void report_uncaught(PyObject *function)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyErr_Clear();
        return;
    }
#if PY_VERSION_HEX >= 0x030D0000
    PyErr_FormatUnraisable("Exception ignored in thread started by %R", function);
#else
    _PyErr_WriteUnraisableMsg("in thread started by", function);
#endif
}

/* What CPython does after the last Python code of a thread, it does without the turn; what others can see of
 * it is done here, before the turn goes: thread-local data dies, and the lock that join() waits for is free. */
static void clean_up(thread *t)
{
    PyThreadState *state = PyThreadState_Get();
    PyObject *local = PyThreadState_GetDict();
    if (local)
        PyDict_Clear(local);
    Py_CLEAR(state->context);
#if PY_VERSION_HEX < 0x030D0000
    if (t->sentinel) {
        PyObject *data = state->on_delete_data;
        state->on_delete = NULL;
        state->on_delete_data = NULL;
        Py_XDECREF(data);
        PyObject *locked = PyObject_CallMethod(t->sentinel, "locked", NULL);
        if (locked == Py_True) {
            PyObject *released = PyObject_CallMethod(t->sentinel, "release", NULL);
            Py_XDECREF(released);
        }
        Py_XDECREF(locked);
        Py_CLEAR(t->sentinel);
        PyErr_Clear();
    }
#endif
    Py_CLEAR(t->function);
    Py_CLEAR(t->args);
    Py_CLEAR(t->kwargs);
    t->over = true;
    if (core_mode == MODE_RECORD)
        turn_wake(t);
    if (count_for(--alive) < 0)
        PyErr_Clear();
    if (!t->handle)
        forget(t);
}

static void run_thread(thread *t)
{
    PyObject *result = PyObject_Call(t->function, t->args, t->kwargs);
    if (!result)
        report_uncaught(t->function);
    Py_XDECREF(result);
    clean_up(t);
}

/* Recording: what the new OS thread runs. */
static PyObject *thread_main(PyObject *capsule, PyObject *Py_UNUSED(none))
{
    thread *t = PyCapsule_GetPointer(capsule, NULL);
    t->ident = PyThread_get_thread_ident();
    turn_enter(t->number);
    turn_take();
    count_thread_begins();
    run_thread(t);
    turn_leave();
    Py_RETURN_NONE;
}

static PyMethodDef thread_main_definition = {"thread", thread_main, METH_NOARGS, NULL};

/* Replay: what the context runs. */
static void context_thread(void *argument)
{
    run_thread(argument);
}

/* --- the start of a thread ----------------------------------------------------------------------------------- */

static thread *new_thread(PyObject *function, PyObject *args, PyObject *kwargs)
{
    thread *t = PyMem_RawCalloc(1, sizeof *t);
    if (!t) {
        PyErr_NoMemory();
        return NULL;
    }
    t->number = ++started;
    t->function = Py_NewRef(function);
    t->args = Py_NewRef(args);
    t->kwargs = Py_XNewRef(kwargs);
    t->next = threads;
    threads = t;
    return t;
}

static void drop(thread *t)
{
    started--;
    Py_CLEAR(t->function);
    Py_CLEAR(t->args);
    Py_CLEAR(t->kwargs);
    forget(t);
}

static void one_more(void)
{
    if (core_mode == MODE_RECORD && !turn_is_shared)
        turn_share();
    turn_is_shared = 1;
    if (count_for(++alive) < 0)
        PyErr_WriteUnraisable(NULL);
}

/* The real start, with our own function in the place of the program's. */
static PyObject *start_original(boundary_entry *entry, PyObject *module, thread *t, PyObject *const *rest, Py_ssize_t nrest)
{
    PyObject *capsule = PyCapsule_New(t, NULL, NULL);
    PyObject *main = capsule ? PyCFunction_New(&thread_main_definition, capsule) : NULL;
    PyObject *result = NULL;
    Py_XDECREF(capsule);
    if (main) {
        PyObject *args[4] = {main};
        memcpy(args + 1, rest, (size_t)nrest * sizeof *args);
        const boundary_call call = {module, args, nrest + 1, NULL};
        result = entry->original(entry, &call);
        Py_DECREF(main);
    }
    return result;
}

static int record_result(boundary_entry *entry, PyObject *result)
{
    record_writer w;
    record_begin(&w, entry->id, KIND_RESULT, 0, 0);
    encode_value(&w, result, NULL);
    return record_end(&w);
}

static void record_failure(boundary_entry *entry)
{
    record_writer w;
    PyObject *error = error_take();
    record_begin(&w, entry->id, KIND_RAISED, 0, 0);
    encode_exception(&w, error);
    if (record_end(&w) < 0)
        PyErr_Clear();
    error_put_back(error);
}

/* The recorded outcome of a start: the ident, or NULL with the recorded exception. */
static PyObject *replayed_ident(boundary_entry *entry)
{
    record_view record;
    replay_expect_call(entry, &record);
    const char *p = record.payload;
    PyObject *value = decode_value(&p, p + record.size, NULL);
    bool raised = record.kind == KIND_RAISED;
    if (!value)
        return NULL;
    stream_take();
    if (!raised)
        return value;
    PyErr_SetObject((PyObject *)Py_TYPE(value), value);
    Py_DECREF(value);
    return NULL;
}

static PyObject *start_in_context(boundary_entry *entry, thread *t)
{
    PyObject *ident = replayed_ident(entry);
    if (!ident)
        return NULL;
    t->ident = PyLong_AsUnsignedLong(ident);
    if (context_create(t->number, (size_t)0, context_thread, t) < 0)
        Py_CLEAR(ident);
    return ident;
}

static PyObject *start(boundary_entry *entry, const boundary_call *call)
{
    if (call->kwnames || call->nargs < 2 || call->nargs > 3 || !PyCallable_Check(call->args[0]) ||
        !PyTuple_Check(call->args[1]) || (call->nargs == 3 && !PyDict_Check(call->args[2])))
        return entry->original(entry, call);
    thread *t = new_thread(call->args[0], call->args[1], call->nargs == 3 ? call->args[2] : NULL);
    if (!t)
        return NULL;
    if (core_mode == MODE_REPLAY) {
        PyObject *ident = start_in_context(entry, t);
        if (ident)
            one_more();
        else
            drop(t);
        return ident;
    }
    if (!turn_is_shared)
        turn_share();
    PyObject *nothing = PyTuple_New(0);
    PyObject *ident = nothing ? start_original(entry, call->self, t, &nothing, 1) : NULL;
    Py_XDECREF(nothing);
    if (!ident) {
        record_failure(entry);
        drop(t);
        return NULL;
    }
    if (record_result(entry, ident) < 0)
        PyErr_Clear();
    one_more();
    return ident;
}

/* --- 3.13: handles -------------------------------------------------------------------------------------------- */

static destructor handle_dealloc;

/* A handle may die before or after its thread. */
static void handle_dies(PyObject *handle)
{
    thread *t = by_handle(handle);
    if (t) {
        t->handle = NULL;
        if (t->over)
            forget(t);
    }
    handle_dealloc(handle);
}

static PyObject *named(const boundary_call *call, Py_ssize_t index, const char *name)
{
    if (call->nargs > index)
        return call->args[index];
    Py_ssize_t n = call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0;
    for (Py_ssize_t i = 0; i < n; i++)
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(call->kwnames, i), name) == 0)
            return call->args[call->nargs + i];
    return NULL;
}

static PyObject *new_handle(void)
{
    PyObject *module = PyImport_ImportModule("_thread");
    PyObject *made = module ? PyObject_CallMethod(module, "_ThreadHandle", NULL) : NULL;
    Py_XDECREF(module);
    return made;
}

static PyObject *start_joinable(boundary_entry *entry, const boundary_call *call)
{
    PyObject *function = named(call, 0, "function"), *handle = named(call, 1, "handle"), *daemon = named(call, 2, "daemon");
    if (!function || !PyCallable_Check(function))
        return entry->original(entry, call);
    handle = handle && handle != Py_None ? Py_NewRef(handle) : new_handle();
    PyObject *nothing = handle ? PyTuple_New(0) : NULL;
    thread *t = nothing ? new_thread(function, nothing, NULL) : NULL;
    Py_XDECREF(nothing);
    if (!t) {
        Py_XDECREF(handle);
        return NULL;
    }
    t->daemon = !daemon || PyObject_IsTrue(daemon) == 1;
    PyObject *ident = NULL;
    if (core_mode == MODE_REPLAY) {
        ident = start_in_context(entry, t);
    } else {
        if (!turn_is_shared)
            turn_share();
        PyObject *rest[] = {handle, t->daemon ? Py_True : Py_False};
        PyObject *same = start_original(entry, call->self, t, rest, 2);
        if (!same)
            record_failure(entry);
        ident = same ? PyObject_GetAttrString(same, "ident") : NULL;
        Py_XDECREF(same);
        if (ident && record_result(entry, ident) < 0)
            PyErr_Clear();
    }
    if (!ident) {
        drop(t);
        Py_DECREF(handle);
        return NULL;
    }
    t->ident = PyLong_AsUnsignedLong(ident);
    t->handle = handle;
    if (!handle_dealloc) {
        handle_dealloc = Py_TYPE(handle)->tp_dealloc;
        Py_TYPE(handle)->tp_dealloc = handle_dies;
    }
    Py_DECREF(ident);
    one_more();
    return handle;
}

static int try_over(boundary_entry *Py_UNUSED(entry), const boundary_call *call)
{
    thread *t = by_handle(call->self);
    return !t || t->over;
}

static PyObject *handle_join(boundary_entry *entry, const boundary_call *call)
{
    thread *t = by_handle(call->self);
    if (!t)
        return entry->original(entry, call);
    PyObject *limit = named(call, 0, "timeout");
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

static PyObject *handle_is_done(boundary_entry *entry, const boundary_call *call)
{
    thread *t = by_handle(call->self);
    return t ? PyBool_FromLong(t->over) : entry->original(entry, call);
}

static PyObject *handle_ident(boundary_entry *entry, const boundary_call *call)
{
    thread *t = by_handle(call->self);
    return t ? PyLong_FromUnsignedLong(t->ident) : entry->original(entry, call);
}

static thread *awaited_at_exit(void)
{
    for (thread *t = threads; t; t = t->next)
        if (!t->daemon && !t->over && t->number != turn_thread())
            return t;
    return NULL;
}

static int try_thread_over(boundary_entry *Py_UNUSED(entry), const boundary_call *call)
{
    thread *t = by_number((uint32_t)PyLong_AsLong(call->args[0]));
    return !t || t->over;
}

/* threading's end: all threads that are no daemons are awaited. */
static PyObject *shutdown(boundary_entry *entry, const boundary_call *call)
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

/* --- the rest --------------------------------------------------------------------------------------------------- */

static PyObject *set_sentinel(boundary_entry *entry, const boundary_call *call)
{
    PyObject *lock = entry->original(entry, call);
    thread *t = lock ? by_number(turn_thread()) : NULL;
    if (t)
        Py_XSETREF(t->sentinel, Py_NewRef(lock));
    return lock;
}

static PyObject *enter(boundary_entry *entry, const boundary_call *call, PyObject *(*acquire)(boundary_entry *, const boundary_call *))
{
    const boundary_call plain = {call->self, NULL, 0, NULL};
    return acquire(entry, &plain);
}

PyObject *threads_call(boundary_entry *entry, const boundary_call *call)
{
    switch ((enum thread_operation)entry->index) {
    case THREAD_START: return start(entry, call);
    case THREAD_START_JOINABLE: return start_joinable(entry, call);
    case THREAD_SENTINEL: return set_sentinel(entry, call);
    case LOCK_ACQUIRE: return lock_acquire(entry, call);
    case LOCK_RELEASE: return lock_release(entry, call);
    case LOCK_ENTER: return enter(entry, call, lock_acquire);
    case LOCK_EXIT: return lock_release(entry, call);
    case RLOCK_ACQUIRE: return rlock_acquire(entry, call);
    case RLOCK_ENTER: return enter(entry, call, rlock_acquire);
    case RLOCK_RELEASE: case RLOCK_EXIT: return rlock_release(call);
    case RLOCK_OWNED: return rlock_is_owned(call);
    case RLOCK_SAVE: return rlock_release_save(call);
    case RLOCK_RESTORE: return rlock_acquire_restore(entry, call);
    case RLOCK_COUNT: return rlock_count(call);
    case QUEUE_GET: return queue_get(entry, call);
    case QUEUE_PUT: return queue_put(entry, call);
    case IMPORT_ACQUIRE: return import_acquire(entry, call);
    case IMPORT_RELEASE: return import_release();
    case IMPORT_HELD: return import_held();
    case THREAD_COUNT: return PyLong_FromUnsignedLong(alive - 1);
    case HANDLE_JOIN: return handle_join(entry, call);
    case HANDLE_IS_DONE: return handle_is_done(entry, call);
    case HANDLE_IDENT: return handle_ident(entry, call);
    case HANDLE_SHUTDOWN: return shutdown(entry, call);
    default:
        PyErr_SetString(PyExc_SystemError, "unknown thread operation");
        return NULL;
    }
}

/* --- calls that may block ------------------------------------------------------------------------------------------ */

/* A descriptor that is ready will not block: the turn need not change hands for it. */
static bool may_block(const boundary_entry *entry, const boundary_call *call)
{
    if (entry->blocking == BLOCKS_ALWAYS)
        return true;
    int fd = -1;
    if (entry->blocking == BLOCKS_SELF_READ || entry->blocking == BLOCKS_SELF_WRITE)
        fd = *(int *)((char *)call->self + sizeof(PyObject)); /* FileIO and socket begin with it */
    else if (call->nargs > 0 && PyLong_CheckExact(call->args[0]))
        fd = (int)PyLong_AsLong(call->args[0]);
    bool reads = entry->blocking == BLOCKS_SELF_READ || entry->blocking == BLOCKS_READ;
    struct pollfd asked = {fd, reads ? POLLIN : POLLOUT, 0};
    return fd >= 0 && poll(&asked, 1, 0) == 0;
}

static bool is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

PyObject *threads_call_blocking(boundary_entry *entry, const boundary_call *call)
{
    if (!turn_is_shared || !may_block(entry, call) || is_finalizing())
        return entry->original(entry, call);
    turn_give();
    PyObject *result = entry->original(entry, call);
    PyObject *error = result ? NULL : error_take();
    turn_take();
    if (error)
        error_put_back(error);
    return result;
}

static PyObject *set_main_ident(PyObject *Py_UNUSED(module), PyObject *ident)
{
    main_ident = PyLong_AsUnsignedLong(ident);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *chaos(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long mean, seed;
    if (!PyArg_ParseTuple(args, "KK", &mean, &seed))
        return NULL;
    count_set_chaos(mean, seed);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_main_ident", set_main_ident, METH_O, "set_main_ident(ident): the main thread's, as recorded."},
    {"set_chaos", chaos, METH_VARARGS, "set_chaos(mean, seed): preempt at random, every `mean` counted events."},
    {0},
};

int threads_register(PyObject *module)
{
    static const struct { const char *name; int value; } operations[] = {
        {"THREAD_START", THREAD_START}, {"THREAD_START_JOINABLE", THREAD_START_JOINABLE},
        {"THREAD_SENTINEL", THREAD_SENTINEL}, {"LOCK_ACQUIRE", LOCK_ACQUIRE}, {"LOCK_RELEASE", LOCK_RELEASE},
        {"LOCK_ENTER", LOCK_ENTER}, {"LOCK_EXIT", LOCK_EXIT}, {"RLOCK_ACQUIRE", RLOCK_ACQUIRE},
        {"RLOCK_RELEASE", RLOCK_RELEASE}, {"RLOCK_ENTER", RLOCK_ENTER}, {"RLOCK_EXIT", RLOCK_EXIT},
        {"RLOCK_OWNED", RLOCK_OWNED}, {"RLOCK_SAVE", RLOCK_SAVE}, {"RLOCK_RESTORE", RLOCK_RESTORE},
        {"RLOCK_COUNT", RLOCK_COUNT}, {"QUEUE_GET", QUEUE_GET}, {"QUEUE_PUT", QUEUE_PUT},
        {"IMPORT_ACQUIRE", IMPORT_ACQUIRE}, {"IMPORT_RELEASE", IMPORT_RELEASE}, {"IMPORT_HELD", IMPORT_HELD},
        {"THREAD_COUNT", THREAD_COUNT}, {"HANDLE_JOIN", HANDLE_JOIN}, {"HANDLE_IS_DONE", HANDLE_IS_DONE}, {"HANDLE_IDENT", HANDLE_IDENT},
        {"HANDLE_SHUTDOWN", HANDLE_SHUTDOWN},
    };
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (PyModule_AddIntConstant(module, operations[i].name, operations[i].value) < 0)
            return -1;
    return PyModule_AddFunctions(module, functions);
}
