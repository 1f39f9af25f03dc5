#define _GNU_SOURCE
#include "threads.h"
#include "audit.h"
#include "buffers.h"
#include "contexts.h"
#include "control.h"
#include "count.h"
#include "decode.h"
#include "errors.h"
#include "locks.h"
#include "replay.h"
#include "signals.h"
#include "thread_records.h"
#include "turn.h"
#include "waiting.h"

#include <string.h>
#include <unistd.h>

thread *threads_known;
static uint32_t started = 1;    /* numbers given; 1 is the main thread */
static unsigned alive = 1;
static unsigned long main_ident;

thread *thread_by_number(uint32_t number)
{
    for (thread *t = threads_known; t; t = t->next)
        if (t->number == number)
            return t;
    return NULL;
}

unsigned long thread_ident(void)
{
    if (core_mode != MODE_REPLAY)
        return PyThread_get_thread_ident();
    thread *t = thread_by_number(core_thread);
    return t ? t->ident : main_ident;
}

unsigned long thread_ident_of(uint32_t number)
{
    thread *t = thread_by_number(number);
    return number == 1 ? main_ident : t ? t->ident : 0;
}

void thread_forget(thread *t)
{
    for (thread **at = &threads_known; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    PyMem_RawFree(t->arrival); /* in the child of a fork: it never began there */
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

/* What threading.local objects hold for the thread goes with these. What its finalizers store there anew nothing
 * frees, in CPython as here. */
static void clear_locals(PyThreadState *state)
{
#if PY_VERSION_HEX >= 0x030D0000
    Py_CLEAR(state->threading_local_key);
    Py_CLEAR(state->threading_local_sentinel);
    state->threading_local_key = NULL;
    state->threading_local_sentinel = NULL;
#endif
    Py_CLEAR(state->dict);
    state->dict = NULL;
}

/* What CPython does after the last Python code of a thread, it does without the turn; what others can see of
 * it is done here, before the turn goes: thread-local data dies, and the lock that join() waits for is free. */
static void clean_up(thread *t)
{
    PyThreadState *state = PyThreadState_Get();
    clear_locals(state);
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
    wait_wake(t);
    alive--;
    if (threads_recount() < 0)
        PyErr_Clear();
    if (!t->handle)
        thread_forget(t);
}

static void run_thread(thread *t)
{
    PyObject *result = PyObject_Call(t->function, t->args, t->kwargs);
    if (!result && t->is_of_c)
        PyErr_Print();
    else if (!result)
        report_uncaught(t->function);
    Py_XDECREF(result);
    clean_up(t);
}

/* Our own function below the program's is a call of C code, and CPython counts these: `by` gives it back. */
static void add_recursion(int by)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyThreadState_Get()->c_recursion_remaining += by;
#else
    PyThreadState_Get()->recursion_remaining += by;
#endif
}

/* Recording: what the new OS thread runs. */
static PyObject *thread_main(PyObject *capsule, PyObject *Py_UNUSED(none))
{
    thread *t = PyCapsule_GetPointer(capsule, NULL);
    t->ident = PyThread_get_thread_ident();
    waiter *arrival = t->arrival;
    t->arrival = NULL;
    turn_begin(arrival);
    count_thread_begins();
    add_recursion(1);
    run_thread(t);
    add_recursion(-1);
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

thread *thread_new(PyObject *function, PyObject *args, PyObject *kwargs)
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
    t->next = threads_known;
    threads_known = t;
    return t;
}

void thread_drop(thread *t)
{
    started--;
    Py_CLEAR(t->function);
    Py_CLEAR(t->args);
    Py_CLEAR(t->kwargs);
    thread_forget(t);
}

static void one_more(void)
{
    if (core_mode == MODE_RECORD && !turn_is_shared)
        turn_share();
    turn_is_shared = 1;
    alive++;
    if (threads_recount() < 0)
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
        audit_silence();
        result = entry->original(entry, &call);
        audit_sound();
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
    encode_exception(&w, error, NULL);
    if (record_end(&w) < 0)
        PyErr_Clear();
    error_put_back(error);
}

static void not_started(boundary_entry *entry, thread *t)
{
    if (t->arrival)
        turn_withdraw(t->arrival);
    t->arrival = NULL;
    record_failure(entry);
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

/* Of a thread that was just started, and which has not the turn. */
static PyObject *ident_of(PyObject *started_as, const thread *t)
{
    if (PyLong_Check(started_as))
        return Py_NewRef(started_as);
    while (t->is_of_c && !t->ident) { /* it says so itself, as soon as it gets the GIL */
        Py_BEGIN_ALLOW_THREADS
        usleep(100);
        Py_END_ALLOW_THREADS
    }
    if (t->is_of_c)
        return PyLong_FromUnsignedLong(t->ident);
    core_hidden++; /* a handle says what CPython knows: the thread itself may not have told us yet */
    PyObject *ident = PyObject_GetAttrString(started_as, "ident");
    core_hidden--;
    return ident;
}

PyObject *thread_launch(boundary_entry *entry, PyObject *module, thread *t, PyObject *const *rest, Py_ssize_t nrest)
{
    PyObject *ident;
    if (core_mode == MODE_REPLAY) {
        ident = replayed_ident(entry);
        if (ident && context_create(t->number, PyThread_get_stacksize(), context_thread, t) < 0)
            Py_CLEAR(ident);
        if (ident)
            context_set_ident(t->number, PyLong_AsUnsignedLong(ident));
    } else {
        if (!turn_is_shared)
            turn_share();
        t->arrival = turn_announce(t->number);
        PyObject *started_as = t->arrival ? start_original(entry, module, t, rest, nrest) : PyErr_NoMemory();
        if (!started_as)
            not_started(entry, t);
        ident = started_as ? ident_of(started_as, t) : NULL;
        Py_XDECREF(started_as);
        if (ident && record_result(entry, ident) < 0)
            PyErr_Clear();
    }
    if (ident) {
        t->ident = PyLong_AsUnsignedLong(ident);
        one_more();
    } else {
        thread_drop(t);
    }
    return ident;
}

static PyObject *start(boundary_entry *entry, const boundary_call *call)
{
    if (call->kwnames || call->nargs < 2 || call->nargs > 3 || !PyCallable_Check(call->args[0]) ||
        !PyTuple_Check(call->args[1]) || (call->nargs == 3 && !PyDict_Check(call->args[2])))
        return entry->original(entry, call);
    PyObject *kwargs = call->nargs == 3 ? call->args[2] : NULL;
    if (audit_thread_starts(call->args[0], call->args[1], kwargs) < 0)
        return NULL;
    thread *t = thread_new(call->args[0], call->args[1], kwargs);
    PyObject *nothing = t ? PyTuple_New(0) : NULL;
    PyObject *ident = nothing ? thread_launch(entry, call->self, t, &nothing, 1) : NULL;
    Py_XDECREF(nothing);
    return ident;
}

/* --- the rest --------------------------------------------------------------------------------------------------- */

static PyObject *set_sentinel(boundary_entry *entry, const boundary_call *call)
{
    PyObject *lock = entry->original(entry, call);
    thread *t = lock ? thread_by_number(turn_thread()) : NULL;
    if (t)
        Py_XSETREF(t->sentinel, Py_NewRef(lock));
    return lock;
}

/* What `threading.excepthook` is told without a thread: it would print the ident of the OS thread, which all contexts of
 * a replay share. With a stand-in whose name is the recorded ident it prints that. A new reference. */
static PyObject *with_ident(PyObject *args)
{
    PyObject *name = PyUnicode_FromFormat("%lu", thread_ident());
    PyObject *named = name ? Py_BuildValue("{sN}", "name", name) : NULL;
    PyObject *nothing = named ? PyTuple_New(0) : NULL;
    PyObject *stand_in = nothing ? PyObject_Call((PyObject *)Py_TYPE(PySys_GetObject("implementation")), nothing, named) : NULL;
    PyObject *items = stand_in ? Py_BuildValue("((OOON))", PyTuple_GET_ITEM(args, 0), PyTuple_GET_ITEM(args, 1),
                                               PyTuple_GET_ITEM(args, 2), stand_in)
                               : NULL;
    PyObject *made = items ? PyObject_Call((PyObject *)Py_TYPE(args), items, NULL) : NULL;
    Py_XDECREF(items);
    Py_XDECREF(nothing);
    Py_XDECREF(named);
    return made;
}

static PyObject *excepthook(boundary_entry *entry, const boundary_call *call)
{
    PyObject *args = call->nargs == 1 && !call->kwnames ? call->args[0] : NULL;
    bool unnamed = args && PyTuple_Check(args) && strcmp(Py_TYPE(args)->tp_name, "_thread._ExceptHookArgs") == 0 &&
                   PyTuple_GET_SIZE(args) == 4 && PyTuple_GET_ITEM(args, 3) == Py_None;
    if (core_mode != MODE_REPLAY || !unnamed)
        return entry->original(entry, call);
    core_hide();
    PyObject *told = with_ident(args);
    core_show();
    const boundary_call named = {call->self, &told, 1, NULL};
    PyObject *result = told ? entry->original(entry, &named) : NULL;
    Py_XDECREF(told);
    return result;
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
    case THREAD_START_JOINABLE: return handle_start(entry, call);
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
    case BUFFER_USE: return buffer_use(entry, call);
    case THREAD_COUNT: return PyLong_FromUnsignedLong(alive - 1);
    case HANDLE_JOIN: return handle_join(entry, call);
    case HANDLE_IS_DONE: return handle_is_done(entry, call);
    case HANDLE_IDENT: return handle_ident(entry, call);
    case HANDLE_SET_DONE: return handle_set_done(entry, call);
    case HANDLE_SHUTDOWN: return handle_shutdown(entry, call);
    case THREAD_EXCEPTHOOK: return excepthook(entry, call);
    case THREAD_TEMPORARY: return temporary_start(entry, call);
    case THREAD_TEMPORARY_JOIN: return temporary_join(entry, call);
    case SIGNAL_INSTALL: return signal_install(entry, call);
    case SIGNAL_GET: return signal_get(entry, call);
    case SIGNAL_INTERRUPT_MAIN: return signal_interrupt_main(entry, call);
    default:
        PyErr_SetString(PyExc_SystemError, "unknown thread operation");
        return NULL;
    }
}

void threads_forked(void)
{
    uint32_t me = turn_thread();
    alive = 1;
    for (thread *t = threads_known, *next; t; t = next) {
        next = t->next;
        if (t->number == me)
            continue;
        t->over = true;
        if (!t->handle)
            thread_forget(t);
    }
    audit_forked();
    import_forked();
    buffers_forked();
    waits_forked();
}

int threads_recount(void)
{
    return count_because(COUNT_THREADS, alive - waits_idle() > 1);
}

static PyObject *set_main_ident(PyObject *Py_UNUSED(module), PyObject *ident)
{
    main_ident = PyLong_AsUnsignedLong(ident);
    if (core_mode == MODE_REPLAY)
        PyThreadState_Get()->thread_id = main_ident;
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *set_chaos(PyObject *Py_UNUSED(module), PyObject *number)
{
    unsigned long long seed = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred())
        return NULL;
    count_set_chaos(seed);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_main_ident", set_main_ident, METH_O, "set_main_ident(ident): the main thread's, as recorded."},
    {"set_chaos", set_chaos, METH_O, "set_chaos(seed): preempt threads at places drawn at random."},
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
        {"BUFFER_USE", BUFFER_USE}, {"THREAD_COUNT", THREAD_COUNT}, {"HANDLE_JOIN", HANDLE_JOIN}, {"HANDLE_IS_DONE", HANDLE_IS_DONE}, {"HANDLE_IDENT", HANDLE_IDENT},
        {"HANDLE_SHUTDOWN", HANDLE_SHUTDOWN}, {"HANDLE_SET_DONE", HANDLE_SET_DONE}, {"SIGNAL_INSTALL", SIGNAL_INSTALL},
        {"THREAD_EXCEPTHOOK", THREAD_EXCEPTHOOK}, {"THREAD_TEMPORARY", THREAD_TEMPORARY},
        {"THREAD_TEMPORARY_JOIN", THREAD_TEMPORARY_JOIN}, {"SIGNAL_GET", SIGNAL_GET}, {"SIGNAL_INTERRUPT_MAIN", SIGNAL_INTERRUPT_MAIN},
    };
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (PyModule_AddIntConstant(module, operations[i].name, operations[i].value) < 0)
            return -1;
    return PyModule_AddFunctions(module, functions);
}
