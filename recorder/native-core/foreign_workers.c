#define _GNU_SOURCE
#include "foreign_workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK (1u << 20) /* bytes; looking up a host loads libraries */

typedef struct worker {
    struct worker *next;
    ucontext_t own, caller;
    void *(*main)(void *);
    void *argument;
    const void *waits_for;     /* a condition variable; NULL: it may run */
    pthread_mutex_t *mutex;    /* it needs this to go on; NULL: it has not waited yet */
    void *result, *stack;
    bool over;
} worker;

static worker *workers;    /* in the order in which they were started */
static worker *running;
static unsigned ready;     /* of them may run */

static bool knows(const char *path)
{
    static const char *const libraries[] = {"/uvloop/loop.", "/libuv.so", "/gevent/libuv/", "/_argon2_cffi_bindings/",
                                            "/zstandard/backend_c."};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (strstr(path, libraries[i]))
            return true;
    return false;
}

static void finish(void *result)
{
    worker *w = running;
    w->result = result;
    w->over = true;
    swapcontext(&w->own, &w->caller);
}

static void enter(void)
{
    finish(running->main(running->argument));
}

static void resume(worker *w)
{
    running = w;
    swapcontext(&w->caller, &w->own);
    running = NULL;
}

static bool give_stack(worker *w)
{
    ucontext_t *context = &w->own;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return false;
    w->stack = stack;
    if (mprotect(stack, page, PROT_NONE) < 0 || getcontext(context) < 0)
        return false;
    context->uc_stack.ss_sp = stack + page;
    context->uc_stack.ss_size = STACK - page;
    makecontext(context, enter, 0);
    return true;
}

static void free_worker(worker *w)
{
    if (w->stack)
        munmap(w->stack, STACK);
    free(w);
}

static worker *make_worker(void *(*main)(void *), void *argument)
{
    worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    if (!give_stack(w)) {
        free_worker(w);
        return NULL;
    }
    w->main = main;
    w->argument = argument;
    worker **last = &workers;
    while (*last)
        last = &(*last)->next;
    return *last = w;
}

bool foreign_worker_starts(const char *path, const long *arguments)
{
    worker *w = running || !knows(path) ? NULL : make_worker((void *(*)(void *))arguments[2], (void *)arguments[3]);
    if (!w)
        return false;
    *(pthread_t *)arguments[0] = (pthread_t)(uintptr_t)w;
    resume(w);
    return true;
}

/* Runs those that may, until all wait. Who holds a mutex that one needs runs it later, when letting that go. */
static void run_ready(void)
{
    for (worker *w = workers; w && ready; w = w->next) {
        if (w->over || w->waits_for || pthread_mutex_trylock(w->mutex) != 0)
            continue;
        ready--;
        resume(w);
        w = workers;
    }
}

/* An operating system thread that Python does not know has nothing to do with workers. */
static bool takes_part(void)
{
    return workers && (PyGILState_GetThisThreadState() || !Py_IsInitialized());
}

/* Lets whoever resumed the running worker go on; run_ready() has taken the mutex when it returns. */
static void pause_for(const void *condition, pthread_mutex_t *mutex)
{
    worker *w = running;
    w->waits_for = condition;
    w->mutex = mutex;
    swapcontext(&w->own, &w->caller);
}

/* A thread of the program that waits for what a worker does lets it work first, and looks again, as it must after
 * wake-ups that mean nothing. */
long foreign_worker_wait(unsigned function, const long *a)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)a[1];
    if ((!running && !ready) || !takes_part())
        return foreign_real[function](a[0], a[1], 0, 0, 0, 0);
    pthread_mutex_unlock(mutex);
    if (running) {
        pause_for((const void *)a[0], mutex);
    } else {
        run_ready();
        pthread_mutex_lock(mutex);
    }
    return 0;
}

long foreign_worker_lock(unsigned function, const long *a)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)a[0];
    if ((running || ready) && takes_part()) {
        int failed = pthread_mutex_trylock(mutex);
        if (failed != EBUSY)
            return failed;
        if (running) {
            ready++;
            pause_for(NULL, mutex);
            return 0;
        }
        run_ready();
    }
    return foreign_real[function](a[0], 0, 0, 0, 0, 0);
}

static void wake(const void *condition, unsigned most)
{
    for (worker *w = takes_part() ? workers : NULL; w && most; w = w->next)
        if (!w->over && w->waits_for == condition) {
            w->waits_for = NULL;
            ready++;
            most--;
        }
}

long foreign_worker_signal(unsigned function, const long *a)
{
    wake((const void *)a[0], 1);
    return foreign_real[function](a[0], 0, 0, 0, 0, 0);
}

long foreign_worker_broadcast(unsigned function, const long *a)
{
    wake((const void *)a[0], (unsigned)-1);
    return foreign_real[function](a[0], 0, 0, 0, 0, 0);
}

/* After the program's end the library sends its workers home. */
long foreign_worker_unlock(unsigned function, const long *a)
{
    long result = foreign_real[function](a[0], 0, 0, 0, 0, 0);
    if (ready && !running && (core_mode == MODE_OFF || foreign_crosses()))
        run_ready();
    return result;
}

long foreign_worker_join(unsigned function, const long *a)
{
    for (worker **at = &workers, *w; takes_part() && (w = *at); at = &w->next) {
        if ((uintptr_t)w != (uintptr_t)a[0])
            continue;
        if (w->over) {
            if (a[1])
                *(void **)a[1] = w->result;
            *at = w->next;
            free_worker(w);
        }
        return 0;
    }
    return foreign_crosses() ? foreign_cross(function, a) : foreign_real[function](a[0], a[1], 0, 0, 0, 0);
}

long foreign_worker_exit(unsigned function, const long *a)
{
    if (running && takes_part())
        finish((void *)a[0]);
    return foreign_real[function](a[0], 0, 0, 0, 0, 0);
}
