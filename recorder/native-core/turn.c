#define _GNU_SOURCE
#include "turn.h"
#include "control.h"
#include "encode.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define LOOK_AGAIN 1.0       /* seconds: a release that nobody told us of is noticed at last */

int turn_is_shared;

/* A thread that waits: for a key first, then for the turn. Lives on that thread's stack. */
typedef struct waiter {
    struct waiter *next;
    const void *key;          /* NULL: wants the turn */
    unsigned failures;        /* how often it was woken for this and came too late */
    bool woken;
    pthread_cond_t wake;
} waiter;

typedef struct {
    waiter *first, **last;
} queue;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static queue ready = {NULL, &ready.first};    /* want the turn, in order */
static queue blocked = {NULL, &blocked.first}; /* wait for a key */
static atomic_int wanted;                      /* length of ready */
static bool held;                              /* somebody has the turn */
static uint32_t last_holder = 1;
static int64_t left_at = SWITCH_BLOCKED;       /* where the last holder gave the turn up */
static __thread uint32_t me = 1;

uint32_t turn_thread(void)
{
    return core_mode == MODE_REPLAY ? core_thread : me;
}

static void append(queue *q, waiter *w)
{
    w->next = NULL;
    *q->last = w;
    q->last = &w->next;
}

static void take_out(queue *q, waiter *w)
{
    waiter **at = &q->first;
    while (*at && *at != w)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = w->next;
    if (q->last == &w->next)
        q->last = at;
}

/* With the mutex: the first that is ready gets the turn, or it is free. */
static void pass_on(void)
{
    waiter *w = ready.first;
    held = w != NULL;
    if (!w)
        return;
    take_out(&ready, w);
    atomic_fetch_sub(&wanted, 1);
    w->woken = true;
    pthread_cond_signal(&w->wake);
}

static void make_waiter(waiter *w, const void *key)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    w->key = key;
    w->woken = false;
}

/* With the mutex: waits for the turn. */
static void queue_for_turn(waiter *w)
{
    if (!held) {
        held = true;
        return;
    }
    w->woken = false;
    w->key = NULL;
    append(&ready, w);
    atomic_fetch_add(&wanted, 1);
    while (!w->woken)
        pthread_cond_wait(&w->wake, &mutex);
}

/* We have the turn: the stream says so if another thread had it before us. */
static void note_switch(void)
{
    if (last_holder == me)
        return;
    record_writer w;
    int64_t number = me;
    record_begin(&w, 0, KIND_SWITCH, 0, 0);
    write_bytes(&w, "(\2\0\0\0i", 6);
    write_bytes(&w, &number, 8);
    write_bytes(&w, "i", 1);
    write_bytes(&w, &left_at, 8);
    last_holder = me;
    left_at = SWITCH_BLOCKED;
    if (record_end(&w) < 0)
        PyErr_Clear(); /* 30 bytes of fixed form cannot fail to encode */
}

void turn_share(void)
{
    held = true;
    turn_is_shared = 1;
}

void turn_enter(uint32_t number)
{
    me = number;
}

void turn_give(void)
{
    pthread_mutex_lock(&mutex);
    pass_on();
    pthread_mutex_unlock(&mutex);
}

void turn_take(void)
{
    waiter w;
    pthread_mutex_lock(&mutex);
    if (!held) {
        held = true;
        pthread_mutex_unlock(&mutex);
    } else {
        pthread_mutex_unlock(&mutex);
        PyThreadState *state = PyEval_SaveThread();
        make_waiter(&w, NULL);
        pthread_mutex_lock(&mutex);
        queue_for_turn(&w);
        pthread_mutex_unlock(&mutex);
        pthread_cond_destroy(&w.wake);
        PyEval_RestoreThread(state);
    }
    note_switch();
}

void turn_leave(void)
{
    turn_give();
}

static struct timespec moment(double seconds)
{
    struct timespec t = {(time_t)seconds, 0};
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    return t;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool turn_wait(const void *key, double deadline, unsigned failures)
{
    waiter w;
    double until = now() + LOOK_AGAIN;
    bool limited = deadline >= 0 && deadline < until;
    struct timespec limit = moment(limited ? deadline : until);
    PyThreadState *state = PyEval_SaveThread();
    make_waiter(&w, key);
    w.failures = failures;
    pthread_mutex_lock(&mutex);
    append(&blocked, &w);
    pass_on();
    int failed = 0;
    while (w.key && !failed)
        failed = pthread_cond_timedwait(&w.wake, &mutex, &limit);
    bool late = w.key && limited;
    if (w.key) {
        take_out(&blocked, &w);
        queue_for_turn(&w);
    } else { /* turn_wake has put us into the other queue */
        while (!w.woken)
            pthread_cond_wait(&w.wake, &mutex);
    }
    pthread_mutex_unlock(&mutex);
    pthread_cond_destroy(&w.wake);
    PyEval_RestoreThread(state);
    note_switch();
    return !late;
}

/* With the turn. The woken thread goes straight into the queue for the turn: it needs not run to get there. */
bool turn_wake(const void *key)
{
    bool starved = false;
    pthread_mutex_lock(&mutex);
    for (waiter *w = blocked.first; w; w = w->next) {
        if (w->key != key)
            continue;
        starved = w->failures > 0;
        take_out(&blocked, w);
        w->key = NULL;
        append(&ready, w);
        atomic_fetch_add(&wanted, 1);
        break;
    }
    pthread_mutex_unlock(&mutex);
    return starved;
}

bool turn_is_wanted(void)
{
    return atomic_load_explicit(&wanted, memory_order_relaxed) > 0;
}

void turn_preempt(int64_t place)
{
    if (!turn_is_wanted())
        return;
    left_at = place;
    turn_give();
    turn_take();
    left_at = SWITCH_BLOCKED;
}

void turn_forked(void)
{
    pthread_mutex_init(&mutex, NULL);
    ready = (queue){NULL, &ready.first};
    blocked = (queue){NULL, &blocked.first};
    atomic_store(&wanted, 0);
    turn_is_shared = 0;
}
