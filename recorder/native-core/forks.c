#define Py_BUILD_CORE 1 /* the interpreter's list of hooks */
#include "forks.h"
#include "callback.h"
#include "contexts.h"
#include "control.h"
#include "count.h"
#include "decode.h"
#include "digest.h"
#include "errors.h"
#include "locks.h"
#include "replay.h"
#include "running_loops.h"
#include "shared_memory.h"
#include "signals.h"
#include "threads.h"
#include "turn.h"

#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#include <pthread.h>
#include <string.h>

/* A call that forks, on the C stack of the thread that makes it. */
typedef struct fork_call {
    struct fork_call *outer;
    callback_scope *scope;
    unsigned flags;          /* those of the FORK record */
    bool has_hooks;          /* see take_hooks() */
    bool in_child;
} fork_call;

static __thread fork_call *forking;
static int64_t forked;       /* how often */

/* Is the fork() that is under way that of the innermost call? Another one may be made by a hook, or by C code. */
static bool is_ours(void)
{
    return core_mode == MODE_RECORD && forking && callback_is_in(forking->scope);
}

/* 'N' in the child; the number of the fork in the parent. */
static void write_fork(bool child)
{
    record_writer w;
    record_begin(&w, 0, KIND_FORK, 0, 0);
    write_bytes(&w, child ? "N" : "i", 1);
    if (!child)
        write_bytes(&w, &forked, 8);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* fixed form: it cannot fail to encode */
}

static void before_fork(void)
{
    if (!is_ours())
        return;
    shared_memory_begins();
    forking->flags = record_flags_next;
    record_before_fork();
    forked++;
    write_fork(false);
}

static void after_fork_in_parent(void)
{
    if (is_ours())
        record_after_fork();
}

static void stop_recording(void)
{
    core_mode = MODE_OFF;
    count_is_on = 0;
}

/* --- the hooks of os.register_at_fork ---------------------------------------------------------------------- */

/* Those that CPython is to run in the parent, taken from it while a call forks: as CPython's run_at_forkers does it, but
 * before and after the call they run here, for what they do, in C or in Python, to be recorded and replayed as anything
 * that the program does. Those of the child run there inside the call, see forks.h. */
static PyObject *hooks_before, *hooks_after;
static unsigned hooks_taken; /* by so many calls: an audit hook lets other threads run before the fork */

static void give_hooks_back(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (!forking->has_hooks)
        return;
    forking->has_hooks = false;
    if (--hooks_taken)
        return;
    Py_XSETREF(interpreter->before_forkers, hooks_before);
    Py_XSETREF(interpreter->after_forkers_parent, hooks_after);
    hooks_before = hooks_after = NULL;
}

/* The one hook that CPython runs in the parent, before code of the program can run again. */
static PyObject *end_hook(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    if (forking)
        give_hooks_back();
    Py_RETURN_NONE;
}

static void take_hooks(void)
{
    static PyMethodDef definition = {"after_fork", end_hook, METH_NOARGS, NULL};
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    PyObject *end = PyCFunction_New(&definition, NULL), *list = end ? PyList_New(1) : NULL;
    if (!list) {
        Py_XDECREF(end);
        PyErr_Clear(); /* they are given back after the call then */
    } else {
        PyList_SET_ITEM(list, 0, end);
    }
    forking->has_hooks = true;
    if (hooks_taken++) {
        Py_XDECREF(list);
        return;
    }
    hooks_before = interpreter->before_forkers;
    hooks_after = interpreter->after_forkers_parent;
    interpreter->before_forkers = NULL;
    interpreter->after_forkers_parent = list;
}

/* In the child: of the calls that have them, those of other threads are gone. */
static void keep_own_hooks(void)
{
    hooks_taken = 0;
    for (const fork_call *call = forking; call; call = call->outer)
        hooks_taken += call->has_hooks;
    give_hooks_back();
}

static void run_hooks(PyObject *list, bool backwards)
{
    PyObject *hooks = list ? PyList_GetSlice(list, 0, PyList_GET_SIZE(list)) : NULL;
    if (hooks && backwards)
        PyList_Reverse(hooks);
    for (Py_ssize_t i = 0; hooks && i < PyList_GET_SIZE(hooks); i++) {
        PyObject *done = PyObject_CallNoArgs(PyList_GET_ITEM(hooks, i));
        if (!done)
            PyErr_WriteUnraisable(PyList_GET_ITEM(hooks, i));
        Py_XDECREF(done);
    }
    if (list && !hooks)
        PyErr_WriteUnraisable(NULL);
    Py_XDECREF(hooks);
}

static void run_hooks_before(void)
{
    run_hooks(hooks_taken ? hooks_before : PyInterpreterState_Get()->before_forkers, true);
}

/* What failed goes on failing afterwards. */
static void run_hooks_after(void)
{
    PyObject *error = PyErr_Occurred() ? error_take() : NULL;
    run_hooks(hooks_taken ? hooks_after : PyInterpreterState_Get()->after_forkers_parent, false);
    if (error)
        error_put_back(error);
}

/* --- recording -------------------------------------------------------------------------------------------- */

/* The other threads are gone, the ring is the parent's. */
static void after_fork_in_child(void)
{
    if (core_mode != MODE_RECORD)
        return;
    bool ours = is_ours();
    if (ours)
        keep_own_hooks();
    turn_forked();
    signals_forked();
    if (!ours) {
        stop_recording();
        return;
    }
    forking->in_child = true;
    callback_forked(forking->scope);
    core_hidden--;
    threads_forked();
    if (record_in_child() < 0) {
        stop_recording();
        return;
    }
    record_flags_next |= forking->flags;
    write_fork(true);
}

int forks_watch(void)
{
    return pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* CPython holds the import lock around a fork: it waits until no other thread is in the middle of an import. */
bool forks_begin(boundary_entry *entry, const boundary_call *call)
{
    run_hooks_before();
    PyObject *done = import_acquire(entry, call);
    Py_XDECREF(done);
    if (!done)
        run_hooks_after();
    return done != NULL;
}

void forks_end(bool in_child)
{
    PyObject *error = PyErr_Occurred() ? error_take() : NULL;
    PyObject *done = import_release();
    if (!done)
        PyErr_Clear(); /* a hook of the program has released it */
    Py_XDECREF(done);
    if (error)
        error_put_back(error);
    if (!in_child)
        run_hooks_after();
}

PyObject *forks_record(boundary_entry *entry, const boundary_call *call)
{
    callback_scope scope;
    fork_call here = {.outer = forking, .scope = &scope};
    uint32_t digest = digest_call(call, -1);
    if (!forks_begin(entry, call))
        return NULL;
    callback_watch(&scope, entry, call, digest);
    core_hidden++;
    forking = &here;
    take_hooks();
    PyObject *result = entry->original(entry, call);
    give_hooks_back();
    forking = here.outer;
    if (!here.in_child) {
        core_hidden--;
        callback_unwatch(&scope);
    } else if (core_mode == MODE_RECORD && threads_recount() < 0) {
        PyErr_Clear(); /* counting goes on: it costs time, no more */
    }
    if (core_mode == MODE_RECORD)
        record_outcome(entry, &scope.call, result, digest);
    callback_done(&scope);
    forks_end(here.in_child);
    return result;
}

/* --- replay ----------------------------------------------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030D0000
/* What is known of the ThreadHandle of 3.13's _threadmodule.c. */
typedef struct {
    struct llist_node node, shutdown_node;
    PyThread_ident_t ident;
} thread_handle;

/* In the child CPython takes every thread for gone whose ident is not that of the running one. The idents in handles are
 * the recorded ones: the running thread's own is lent the true one meanwhile. */
static void exchange_ident(PyThread_ident_t from, PyThread_ident_t to)
{
    struct llist_node *node;
    llist_for_each(node, &_PyRuntime.threads.handles) {
        thread_handle *handle = llist_data(node, thread_handle, node);
        if (handle->ident == from)
            handle->ident = to;
    }
}
#else
static void exchange_ident(unsigned long Py_UNUSED(from), unsigned long Py_UNUSED(to))
{
}
#endif

/* What CPython does in the child, and its hooks of the program: the same code as in the recording. The hooks that run
 * before a fork have run already. */
static void become_the_child(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    stream_take();
    turn_is_shared = 0;
    signals_forked();
    threads_forked();
    PyObject *hooks = interpreter->before_forkers;
    interpreter->before_forkers = NULL;
    PyOS_BeforeFork();
    interpreter->before_forkers = hooks;
    exchange_ident(thread_ident(), PyThread_get_thread_ident());
    running_loops_leave();
    PyOS_AfterFork_Child();
    exchange_ident(PyThread_get_thread_ident(), thread_ident());
    contexts_forked();
    if (threads_recount() < 0)
        PyErr_Clear();
}

bool forks_replay(bool *in_child)
{
    record_view record;
    if (!replay_own_is_next(KIND_FORK, &record))
        return false;
    control_at_fork();
    replay_own_is_next(KIND_FORK, &record); /* the controller may have given us the child's stream */
    shared_memory_begins();
    *in_child = record.size == 1;
    if (*in_child)
        become_the_child();
    else
        stream_take();
    return true;
}
