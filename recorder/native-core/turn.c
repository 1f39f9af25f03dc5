#define _GNU_SOURCE
#include "turn.h"
#include "control.h"
#include "count.h"
#include "foreign.h"
#include "encode.h"
#include "signals.h"
#include "unraisable.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_AGAIN 1.0       /* seconds: a release that nobody told us of is noticed at last */
#define LOOK_AT_HOLDER 0.05  /* seconds between two looks at a thread that keeps the turn */
#define PATIENCE 8           /* looks that must all find it asleep before the turn is taken from it */

int turn_is_shared;

/* A thread that waits: for a key first, then for the turn. Lives on that thread's stack, unless it was announced. */
struct waiter {
    struct waiter *next;
    const void *key;          /* NULL: wants the turn */
    unsigned failures;        /* how often it was woken for this and came too late */
    uint32_t number;          /* who waits */
    pid_t task;
    bool woken, queued;
    uint32_t lost;            /* the thread that the turn was taken from */
    unsigned asleep;          /* looks that found the holder asleep */
    uint64_t seen;            /* what had happened at the last look */
    PyThreadState *state;
    sem_t wake;
};

typedef struct {
    waiter *first, **last;
} queue;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static queue ready = {NULL, &ready.first};    /* want the turn, in order */
static queue blocked = {NULL, &blocked.first}; /* wait for a key */
static atomic_int wanted;                      /* length of ready */
static atomic_int waiting_for[64];             /* length of blocked, by bucket of the key */
static bool held;                              /* somebody has the turn: */
static uint32_t holder = 1;
static pid_t holder_task;                      /* its thread in the operating system */
static uint32_t last_holder = 1;
static int64_t left_at = SWITCH_BLOCKED;       /* where the last holder gave the turn up */
static __thread uint32_t me = 1;
static __thread bool is_known;                 /* the main thread, and those that the program started */
static __thread pid_t my_task;

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

static pid_t task(void)
{
    if (!my_task)
        my_task = (pid_t)syscall(SYS_gettid);
    return my_task;
}

static atomic_int *bucket(const void *key)
{
    return &waiting_for[((uintptr_t)key >> 4) % 64];
}

/* With the mutex. */
static void block(waiter *w)
{
    append(&blocked, w);
    atomic_fetch_add(bucket(w->key), 1);
}

static void unblock(waiter *w)
{
    take_out(&blocked, w);
    atomic_fetch_sub(bucket(w->key), 1);
}

/* With the mutex: the caller has the turn now. */
static void hold(void)
{
    held = true;
    holder = me;
    holder_task = task();
}

/* With the mutex, by who has the turn: `w` wants it too. With chaos it is drawn anew when the next preemption is. */
static void make_ready(waiter *w)
{
    append(&ready, w);
    if (atomic_fetch_add(&wanted, 1) == 0)
        count_chaos_begins();
}

/* The first that is ready; with chaos any of them. */
static waiter *next_ready(void)
{
    waiter *w = ready.first;
    for (unsigned skipped = count_chaos_picks((unsigned)atomic_load(&wanted)); w && w->next && skipped; skipped--)
        w = w->next;
    return w;
}

/* With the mutex: one that is ready gets the turn, or it is free. Nothing happens when the turn was taken from
 * the caller while it slept. */
static void pass_on(void)
{
    if (held && holder != me)
        return;
    waiter *w = next_ready();
    held = w != NULL;
    if (!w)
        return;
    take_out(&ready, w);
    atomic_fetch_sub(&wanted, 1);
    holder = w->number;
    holder_task = w->task;
    w->woken = true;
    sem_post(&w->wake);
}

/* Lets the GIL go. */
static void make_waiter(waiter *w, const void *key)
{
    *w = (waiter){.key = key, .number = me, .task = task()};
    sem_init(&w->wake, 0, 0);
    w->state = PyEval_SaveThread();
}

/* Takes the GIL again. */
static void drop_waiter(waiter *w)
{
    sem_destroy(&w->wake);
    PyEval_RestoreThread(w->state);
}

/* With the mutex, which others may have meanwhile: sleeps until it is woken or `limit` has passed, 0 or an error number.
 * The main thread takes note of the signals that interrupted it, or came just before it slept: CPython's other threads
 * would be busy with them until then (3.11 does not even get past the next function entry), and would never hand over
 * the turn. */
static int doze(waiter *w, const struct timespec *limit)
{
    pthread_mutex_unlock(&mutex);
    int failed = sem_clockwait(&w->wake, CLOCK_MONOTONIC, limit) < 0 ? errno : 0;
    if (failed && signals_are_mine()) {
        PyEval_RestoreThread(w->state);
        signals_take_note();
        w->state = PyEval_SaveThread();
    }
    pthread_mutex_lock(&mutex);
    return failed;
}

/* --- a holder that sleeps ------------------------------------------------------------------------------- */

/* Is the thread that has the turn asleep in the kernel? One that computes, with or without the GIL, is not. */
static bool holder_sleeps(void)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)holder_task);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    const char *name_end = strrchr(text, ')');
    return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

/* With the mutex, by the first in the queue: has the holder been asleep at every look, without an input or a count in
 * between? Then it waits in a call that is not at the boundary, perhaps for us. What an extension asks of the C library
 * is no sign of life: one that waits in a loop asks for the time again and again. */
static bool holder_is_lost(waiter *w)
{
    if (!count_is_on) /* everybody else waits for what only the holder can do, and no count says that it goes on */
        return false;
    uint64_t done = record_count - foreign_recorded + (uint64_t)count_so_far();
    bool asleep = ready.first == w && done == w->seen && holder_sleeps();
    w->seen = done;
    w->asleep = asleep ? w->asleep + 1 : 0;
    return w->asleep >= PATIENCE;
}

/* What happens from here on is not in the recording's order: it says so, and replay stops here. */
static void note_lost(const char *text)
{
    record_writer w;
    uint32_t size = (uint32_t)strlen(text);
    record_begin(&w, 0, KIND_NOTE, FLAG_LOST, 0);
    write_bytes(&w, "s", 1);
    write_bytes(&w, &size, 4);
    write_bytes(&w, text, size);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* fixed form: it cannot fail to encode */
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

/* With the mutex: waits for the turn. */
static void queue_for_turn(waiter *w)
{
    if (w->key || !w->queued) {
        if (!held) {
            hold();
            return;
        }
        w->woken = false;
        w->key = NULL;
        append(&ready, w);
        atomic_fetch_add(&wanted, 1);
    }
    while (!w->woken) {
        struct timespec limit = moment(now() + LOOK_AT_HOLDER);
        if (doze(w, &limit) == ETIMEDOUT && !w->woken && holder_is_lost(w)) {
            take_out(&ready, w);
            atomic_fetch_sub(&wanted, 1);
            w->lost = holder;
            break;
        }
    }
    hold();
}

static void note_lost_holder(uint32_t number)
{
    char text[160];
    snprintf(text, sizeof text, "thread %u waited in a call that Retroscope does not know, and other threads went on: from "
             "here on the order of threads is not recorded", number);
    note_lost(text);
}

bool turn_is_foreign(void)
{
    static bool told;
    if (is_known)
        return false;
    if (!told)
        note_lost("a thread that C code started runs code of the program: from here on the order of threads is not recorded");
    told = true;
    core_hidden++; /* as long as it lives */
    return true;
}

/* We have the turn: the stream says so if another thread had it before us. */
static void note_switch(const waiter *waited)
{
    unraisable_show();
    if (waited && waited->lost)
        note_lost_holder(waited->lost);
    if (last_holder == me)
        return;
    count_resumes();
    record_writer w;
    int64_t number = me;
    record_begin(&w, 0, KIND_SWITCH, 0, (uint32_t)count_so_far());
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
    pthread_mutex_lock(&mutex);
    hold();
    pthread_mutex_unlock(&mutex);
    turn_is_shared = 1;
}

void turn_enter(uint32_t number)
{
    me = number;
    is_known = true;
}

waiter *turn_announce(uint32_t number)
{
    waiter *w = PyMem_RawCalloc(1, sizeof *w);
    if (!w)
        return NULL;
    sem_init(&w->wake, 0, 0);
    w->number = number;
    w->queued = true;
    pthread_mutex_lock(&mutex);
    make_ready(w);
    pthread_mutex_unlock(&mutex);
    return w;
}

void turn_withdraw(waiter *w)
{
    pthread_mutex_lock(&mutex);
    take_out(&ready, w);
    atomic_fetch_sub(&wanted, 1);
    pthread_mutex_unlock(&mutex);
    sem_destroy(&w->wake);
    PyMem_RawFree(w);
}

void turn_begin(waiter *w)
{
    turn_enter(w->number);
    w->state = PyEval_SaveThread();
    pthread_mutex_lock(&mutex);
    w->task = task();
    queue_for_turn(w);
    pthread_mutex_unlock(&mutex);
    drop_waiter(w);
    note_switch(w);
    PyMem_RawFree(w);
}

void turn_give(void)
{
    unraisable_hide();
    pthread_mutex_lock(&mutex);
    pass_on();
    pthread_mutex_unlock(&mutex);
}

void turn_take(void)
{
    waiter w;
    const waiter *waited = NULL;
    pthread_mutex_lock(&mutex);
    if (!held) {
        hold();
        pthread_mutex_unlock(&mutex);
    } else {
        pthread_mutex_unlock(&mutex);
        make_waiter(&w, NULL);
        pthread_mutex_lock(&mutex);
        queue_for_turn(&w);
        pthread_mutex_unlock(&mutex);
        drop_waiter(&w);
        waited = &w;
    }
    note_switch(waited);
}

void turn_leave(void)
{
    turn_give();
}

bool turn_wait(const void *key, double deadline, unsigned failures)
{
    waiter w;
    double until = now() + LOOK_AGAIN;
    bool limited = deadline >= 0 && deadline < until;
    struct timespec limit = moment(limited ? deadline : until);
    unraisable_hide();
    make_waiter(&w, key);
    w.failures = failures;
    pthread_mutex_lock(&mutex);
    block(&w);
    pass_on();
    int failed = 0;
    while (w.key && (!failed || (failed == EINTR && !signals_are_mine())))
        failed = doze(&w, &limit);
    bool late = w.key && limited && failed == ETIMEDOUT;
    if (w.key) {
        unblock(&w);
        queue_for_turn(&w);
    } else { /* turn_wake has put us into the other queue */
        w.queued = true;
        queue_for_turn(&w);
    }
    pthread_mutex_unlock(&mutex);
    drop_waiter(&w);
    note_switch(&w);
    return !late;
}

/* With the turn. The woken thread goes straight into the queue for the turn: it needs not run to get there. */
bool turn_wake(const void *key)
{
    bool starved = false;
    if (!atomic_load_explicit(bucket(key), memory_order_relaxed)) /* who blocks has the turn then, as we have now */
        return false;
    pthread_mutex_lock(&mutex);
    for (waiter *w = blocked.first; w; w = w->next) {
        if (w->key != key)
            continue;
        starved = w->failures > 0;
        unblock(w);
        w->key = NULL;
        make_ready(w);
        break;
    }
    pthread_mutex_unlock(&mutex);
    return starved;
}

bool turn_is_wanted(void)
{
    return atomic_load_explicit(&wanted, memory_order_relaxed) > 0;
}

/* While the interpreter ends, whoever else gets the GIL dies: with the turn, if it had been given that. */
void turn_preempt(int64_t place)
{
    if (!turn_is_wanted() || core_is_finalizing())
        return;
    waiter w;
    left_at = place;
    unraisable_hide();
    make_waiter(&w, NULL);
    pthread_mutex_lock(&mutex);
    pass_on();
    if (held && holder != me) { /* at once: whether the next holder can be preempted for us must not be left to chance */
        w.queued = true;
        append(&ready, &w);
        atomic_fetch_add(&wanted, 1);
    }
    queue_for_turn(&w);
    pthread_mutex_unlock(&mutex);
    drop_waiter(&w);
    note_switch(&w);
    left_at = SWITCH_BLOCKED;
}

void turn_forked(void)
{
    pthread_mutex_init(&mutex, NULL);
    ready = (queue){NULL, &ready.first};
    blocked = (queue){NULL, &blocked.first};
    atomic_store(&wanted, 0);
    memset(waiting_for, 0, sizeof waiting_for);
    held = false;
    last_holder = me;
    left_at = SWITCH_BLOCKED;
    my_task = 0;
    turn_is_shared = 0;
}
