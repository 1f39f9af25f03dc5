#define _GNU_SOURCE
#define Py_BUILD_CORE 1 /* 3.11: the GILState slot must follow the thread state by hand */
#include "contexts.h"
#include "async_exceptions.h"
#include "control.h"
#include "count.h"
#include "entries.h"
#include "foreign_locals.h"
#include "identity.h"
#include "replay.h"
#include "search.h"
#include "signals.h"
#include "thread_records.h"
#include "ticks.h"
#include "turn.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif
#include <internal/pycore_runtime.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define LEAST_STACK (8u << 20) /* where the program asked for less, or nothing: a replay may need more than a recording */

typedef struct {
    ucontext_t place;
    PyThreadState *state;
    context_main main;
    void *argument;
    char *stack;
    size_t stack_size;
    int hidden;            /* core_hidden of this thread while it does not run */
    uint32_t ticks_hidden;
    PyObject *callable, *self; /* what it waits for while it does not run; NULL: it was preempted */
    identity_deaths deaths; /* that it is in the middle of while it does not run */
    foreign_locals *locals; /* what extensions keep for this thread, while it does not run */
    bool started, over;
} context;

static context **contexts; /* by number; [1] is the main thread */
static uint32_t known;
static context *dead;      /* its stack goes when another context runs */

/* See context_may_wait(). */
static PyObject *next_callable, *next_self;

static context *find(uint32_t number)
{
    if (number == 0 || number >= known || !contexts[number] || contexts[number]->over)
        replay_diverged("the recording hands over to thread %u, which does not run here", number);
    return contexts[number];
}

static int make_room(uint32_t number)
{
    if (number < known)
        return 0;
    uint32_t size = known ? known : 16;
    while (size <= number)
        size *= 2;
    context **grown = realloc(contexts, size * sizeof *grown);
    if (!grown) {
        PyErr_NoMemory();
        return -1;
    }
    memset(grown + known, 0, (size - known) * sizeof *grown);
    contexts = grown;
    known = size;
    return 0;
}

static context *allocate(uint32_t number)
{
    context *c = make_room(number) < 0 ? NULL : calloc(1, sizeof *c);
    if (c)
        contexts[number] = c;
    else if (!PyErr_Occurred())
        PyErr_NoMemory();
    return c;
}

static void free_dead(void)
{
    if (!dead)
        return;
    munmap(dead->stack, dead->stack_size);
    foreign_locals_free(dead->locals);
    free(dead->deaths.objects);
    dead->deaths.objects = NULL;
    dead->locals = NULL;
    dead->stack = NULL;
    dead = NULL;
}

static void use_state(PyThreadState *state)
{
    PyThreadState_Swap(state);
#if PY_VERSION_HEX < 0x030C0000
    PyThread_tss_set(&_PyRuntime.gilstate.autoTSSkey, state);
#endif
}

static void leave(context *from, uint32_t to_number, context *to)
{
    search_before_switch();
    to->started = true;
    from->hidden = core_hidden;
    from->ticks_hidden = ticks_hidden;
    if (!from->over)
        from->state = PyThreadState_Get();
    from->locals = foreign_locals_take(from->locals);
    from->deaths = identity_exchange_deaths(to->deaths);
    core_thread = to_number;
    core_hidden = to->hidden;
    ticks_hidden = to->ticks_hidden;
    if (from->over) {
        dead = from;
        setcontext(&to->place);
    }
    swapcontext(&from->place, &to->place);
}

/* Every way into a context ends here: its thread state becomes the current one. */
static void arrive(context *c)
{
    foreign_locals_put(c->locals);
    use_state(c->state);
    async_exceptions_arrive(c->state);
    if (dead)
        signals_look_ahead();
    free_dead();
}

/* A thread is over: what does not agree with the recording is to be told while it still has a thread state. */
static void check_end(void);

static void begin(unsigned low, unsigned high)
{
    context *c = (context *)((uintptr_t)low | (uintptr_t)high << 32);
    arrive(c);
    count_thread_begins();
    c->main(c->argument);
    check_end();
    PyThreadState_Clear(c->state);
    PyThreadState *state = c->state;
    c->over = true;
    use_state(NULL);
    PyThreadState_Delete(state);
    context_switch_as_recorded();
    Py_UNREACHABLE();
}

int context_create(uint32_t number, size_t stack_size, context_main main, void *argument)
{
    context *c = (known > 1 && contexts[1]) || allocate(1) ? allocate(number) : NULL;
    if (!c)
        return -1;
    entries_meet_threads();
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    c->stack_size = (stack_size > LEAST_STACK ? stack_size + stack_size / 4 : LEAST_STACK) + page;
    c->stack = mmap(NULL, c->stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
                    -1, 0);
    if (c->stack == MAP_FAILED || mprotect(c->stack, page, PROT_NONE) < 0) {
        PyErr_SetString(PyExc_MemoryError, "no memory for the stack of a thread");
        return -1;
    }
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(c->stack + page, c->stack_size - page); /* the stack of one that is over was here */
#endif
    c->main = main;
    c->argument = argument;
    c->state = PyThreadState_New(PyInterpreterState_Get());
    if (!c->state) {
        PyErr_NoMemory();
        return -1;
    }
    getcontext(&c->place);
    c->place.uc_stack.ss_sp = c->stack + page;
    c->place.uc_stack.ss_size = c->stack_size - page;
    c->place.uc_link = NULL;
    uintptr_t self = (uintptr_t)c;
    makecontext(&c->place, (void (*)(void))begin, 2, (unsigned)self, (unsigned)(self >> 32));
    return 0;
}

void context_set_ident(uint32_t number, unsigned long ident)
{
    if (number < known && contexts[number] && contexts[number]->state)
        contexts[number]->state->thread_id = ident;
}

/* The thread states are gone already. */
void contexts_forked(void)
{
    free_dead();
    for (uint32_t number = 1; number < known; number++) {
        context *c = contexts[number];
        if (!c || number == core_thread)
            continue;
        if (c->stack)
            munmap(c->stack, c->stack_size);
        free(c);
        contexts[number] = NULL;
    }
}

/* --- the recorded order --------------------------------------------------------------------------------- */

/* The next record if it is a hand-over: to whom, and at which count (-1: at a blocking call). */
static bool next_switch(uint32_t *number, int64_t *count)
{
    record_view record;
    if (stream_peek(&record) != 1 || record.kind != KIND_SWITCH || record.size != 23)
        return false;
    int64_t n;
    memcpy(&n, record.payload + 6, 8);
    memcpy(count, record.payload + 15, 8);
    *number = (uint32_t)n;
    return true;
}

bool context_switch_is_at(int64_t place)
{
    uint32_t number;
    int64_t recorded;
    return next_switch(&number, &recorded) && recorded == place;
}

int64_t context_next_preemption(void)
{
    uint32_t number;
    int64_t count;
    return next_switch(&number, &count) ? count : -1;
}

/* The next record is a hand-over to this thread: has the running one come as far as in the recording? */
static void check_count(uint32_t number)
{
    record_view record;
    if (stream_peek(&record) == 1 && record.digest != (uint32_t)count_so_far())
        replay_diverged("thread %u ran another way than in the recording before it handed over to thread %u (%u places "
                        "counted, %u recorded)", core_thread, number, (uint32_t)count_so_far(), record.digest);
}

static void switch_to(uint32_t number, bool waits)
{
    context *from = contexts[core_thread], *to = find(number);
    check_count(number);
    stream_take();
    if (from == to)
        return;
    from->callable = waits ? next_callable : NULL;
    from->self = waits ? next_self : NULL;
    leave(from, number, to);
    arrive(from);
}

static uint32_t next_after_wait(void)
{
    uint32_t number;
    int64_t count;
    if (!replay_has_more())
        replay_record_ends();
    if (!next_switch(&number, &count) || count != SWITCH_BLOCKED)
        replay_diverged("thread %u has to wait here, in the recording it did not", core_thread);
    return number;
}

static void check_end(void)
{
    uint32_t number = next_after_wait();
    find(number);
    check_count(number);
}

void context_switch_as_recorded(void)
{
    switch_to(next_after_wait(), true);
}

void context_preempt(int64_t place)
{
    uint32_t number;
    int64_t recorded;
    if (!next_switch(&number, &recorded) || recorded != place)
        replay_diverged("the recording has no hand-over of the turn here, one was expected");
    switch_to(number, false);
}

/* --- for lookers ------------------------------------------------------------------------------------------ */

void context_may_wait(PyObject *callable, PyObject *self)
{
    next_callable = callable;
    next_self = self;
}

bool context_lives(uint32_t number)
{
    return number == 1 ? !(known > 1 && contexts[1] && contexts[1]->over)
                       : number < known && contexts[number] && !contexts[number]->over;
}

uint32_t contexts_known(void)
{
    return known;
}

const frame *context_frame(uint32_t number)
{
    const context *c = number < known ? contexts[number] : NULL;
    return c && !c->over && (c->started || number == 1) && c->state ? frames_shown_top(c->state) : NULL;
}

static const char *state_of(const context *c, uint32_t number)
{
    if (c->over)
        return "finished";
    if (number == core_thread)
        return "running";
    if (!c->started && number != 1)
        return "starting";
    return c->callable ? "waiting" : "ready";
}

/* (number, ident, state, innermost frame or None, callable or None, its self or None) */
static PyObject *describe_context(const context *c, uint32_t number)
{
    bool stands = !c->over && number != core_thread;
    PyObject *frame = stands && c->state ? (PyObject *)PyThreadState_GetFrame(c->state) : NULL;
    PyObject *row = Py_BuildValue("kksOOO", (unsigned long)number, thread_ident_of(number), state_of(c, number), frame ? frame : Py_None,
                                  stands && c->callable ? c->callable : Py_None,
                                  stands && c->self ? c->self : Py_None);
    Py_XDECREF(frame);
    return row;
}

static PyObject *threads(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    static const context alone;
    PyObject *list = PyList_New(0);
    for (uint32_t number = 1; list && (number == 1 || number < known); number++) {
        const context *c = number < known ? contexts[number] : &alone;
        if (!c)
            continue;
        PyObject *row = describe_context(c, number);
        if (!row || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyMethodDef functions[] = {
    {"threads", threads, METH_NOARGS,
     "threads() -> list of (number, ident, state, innermost frame, callable, its self): the threads of a replay, started by now.\n"
     "The running one has no frame here."},
    {0},
};

int contexts_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
