#include "waiting.h"
#include "contexts.h"
#include "count.h"
#include "digest.h"
#include "replay.h"
#include "signals.h"
#include "threads.h"
#include "turn.h"

#include <string.h>
#include <time.h>

#define LONGEST 9223372036.0 /* threading.TIMEOUT_MAX: beyond it CPython raises OverflowError */
#define FOR_EVER 1e9

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The record that says: this wait ended without success. */
static void record_gave_up(boundary_entry *entry)
{
    record_writer w;
    record_begin(&w, entry->id, KIND_RESULT, 0, 0);
    write_bytes(&w, "F", 1);
    if (record_end(&w) < 0)
        PyErr_Clear();
}

static bool gave_up_is_next(const boundary_entry *entry)
{
    record_view record;
    return stream_peek(&record) == 1 && record.kind == KIND_RESULT && record.callable == entry->id &&
           record.size == 1 && record.payload[0] == 'F';
}

/* --- threads that are idle ------------------------------------------------------------------------------ */

/* In the order in which they began to wait. Not on their stacks: at the interpreter's end a thread may die in its wait. */
typedef struct idler {
    struct idler *next;
    const void *key; /* NULL: it was woken, and is in the list no more */
} idler;

static idler *idlers, **last_idler = &idlers;
static unsigned idle;
static unsigned idle_by_bucket[64]; /* of the key: most keys have nobody who waits */

static unsigned *bucket(const void *key)
{
    return &idle_by_bucket[((uintptr_t)key >> 4) % 64];
}

unsigned waits_idle(void)
{
    return idle;
}

static void recount(void)
{
    if (threads_recount() < 0)
        PyErr_WriteUnraisable(NULL);
}

static void take_out(idler **at)
{
    idler *gone = *at;
    *at = gone->next;
    if (last_idler == &gone->next)
        last_idler = at;
    (*bucket(gone->key))--;
    idle--;
    gone->key = NULL;
}

/* NULL when the wait may end by itself, or by a signal. */
static idler *idle_begins(const waiting *w)
{
    if (w->timeout >= 0 || signals_are_mine())
        return NULL;
    idler *self = PyMem_RawMalloc(sizeof *self);
    if (!self)
        Py_FatalError("retroscope: no memory for a thread that waits");
    *self = (idler){NULL, w->key};
    *last_idler = self;
    last_idler = &self->next;
    (*bucket(w->key))++;
    idle++;
    recount();
    return self;
}

static void idle_ends(idler *self)
{
    if (!self)
        return;
    for (idler **at = &idlers; *at; at = &(*at)->next) {
        if (*at != self)
            continue;
        take_out(at);
        recount();
        break;
    }
    PyMem_RawFree(self);
}

static void wake_idler(const void *key)
{
    if (!*bucket(key))
        return;
    for (idler **at = &idlers; *at; at = &(*at)->next) {
        if ((*at)->key != key)
            continue;
        take_out(at);
        recount();
        return;
    }
}

void waits_forked(void)
{
    while (idlers) {
        idler *gone = idlers;
        take_out(&idlers);
        PyMem_RawFree(gone);
    }
}

/* --- waiting ---------------------------------------------------------------------------------------------- */

static int record_wait(const waiting *w, int (*attempt)(boundary_entry *, const boundary_call *))
{
    double deadline = w->timeout < 0 ? -1 : now() + w->timeout;
    for (unsigned failures = 0;; failures++) {
        int handled = signals_in_wait();
        int done = handled > 0 ? attempt(w->entry, w->call) : handled;
        if (done)
            return done;
        idler *self = idle_begins(w);
        bool in_time = turn_wait(w->key, deadline, failures);
        idle_ends(self);
        done = attempt(w->entry, w->call);
        if (done)
            return done;
        if (!in_time) {
            record_gave_up(w->entry);
            return 0;
        }
    }
}

static int replay_wait(const waiting *w, int (*attempt)(boundary_entry *, const boundary_call *))
{
    for (;;) {
        int handled = signals_in_wait();
        int done = handled > 0 ? attempt(w->entry, w->call) : handled;
        if (done)
            return done;
        if (gave_up_is_next(w->entry)) {
            stream_take();
            return 0;
        }
        if (handled && !context_switch_is_at(SWITCH_BLOCKED))
            continue;
        context_may_wait(w->entry->name, w->call->self);
        idler *self = idle_begins(w);
        context_switch_as_recorded();
        idle_ends(self);
        done = attempt(w->entry, w->call);
        if (done)
            return done;
    }
}

static int64_t lock_events; /* counted on both sides: they name the place where a thread yields */

static void lock_event(bool yields)
{
    int64_t place = SWITCH_YIELDED - ++lock_events;
    if (yields)
        turn_preempt(place);
    else if (core_mode == MODE_REPLAY && context_switch_is_at(place))
        context_preempt(place);
}

bool wait_wake(const void *key)
{
    wake_idler(key);
    return core_mode == MODE_RECORD && turn_wake(key);
}

void wait_is_over(const void *key)
{
    if (!turn_is_shared)
        return;
    bool starved = wait_wake(key);
    lock_event(count_chaos_strikes() || starved);
}

void wait_is_over_inside(const void *key)
{
    if (turn_is_shared)
        lock_event(wait_wake(key));
}

void wait_was_none(void)
{
    if (turn_is_shared)
        lock_event(count_chaos_strikes());
}

int wait_until(const waiting *w, int (*attempt)(boundary_entry *, const boundary_call *))
{
    return core_mode == MODE_REPLAY ? replay_wait(w, attempt) : record_wait(w, attempt);
}

int wait_arguments(const boundary_call *call, bool queue, bool *blocking, double *timeout)
{
    if (call->nargs == 0 && !call->kwnames) { /* nearly always */
        *blocking = true;
        *timeout = -1;
        return 0;
    }
    Py_ssize_t named = call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0;
    PyObject *block = boundary_argument(call, 0, "blocking"), *limit = boundary_argument(call, 1, "timeout");
    if (!block)
        block = boundary_argument(call, 0, "block");
    if (call->nargs + named > 2 || call->nargs + named != !!block + !!limit)
        return 1;
    int yes = block ? PyObject_IsTrue(block) : 1;
    *timeout = -1;
    if (limit && limit != Py_None) {
        *timeout = PyFloat_Check(limit) || PyLong_Check(limit) ? PyFloat_AsDouble(limit) : -2;
        if (PyErr_Occurred() || (*timeout < 0 && (queue || *timeout != -1)) || (*timeout >= 0 && !yes && !queue) || *timeout > LONGEST) {
            PyErr_Clear();
            return 1;
        }
    }
    if (yes < 0) {
        PyErr_Clear();
        return 1;
    }
    if (*timeout > FOR_EVER)
        *timeout = -1;
    *blocking = yes;
    return 0;
}
