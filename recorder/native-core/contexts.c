#define _GNU_SOURCE
#define Py_BUILD_CORE 1 /* 3.11: the GILState slot must follow the thread state by hand */
#include "contexts.h"
#include "control.h"
#include "count.h"
#include "replay.h"
#include "ticks.h"
#include "turn.h"

#include <internal/pycore_runtime.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define DEFAULT_STACK (8u << 20)

typedef struct {
    ucontext_t place;
    PyThreadState *state;
    context_main main;
    void *argument;
    char *stack;
    size_t stack_size;
    int hidden;            /* core_hidden of this thread while it does not run */
    uint32_t ticks_hidden;
    bool started, over;
} context;

static context **contexts; /* by number; [1] is the main thread */
static uint32_t known;
static context *dead;      /* its stack goes when another context runs */

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
    from->hidden = core_hidden;
    from->ticks_hidden = ticks_hidden;
    if (!from->over)
        from->state = PyThreadState_Get();
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
    use_state(c->state);
    free_dead();
}

static void begin(unsigned low, unsigned high)
{
    context *c = (context *)((uintptr_t)low | (uintptr_t)high << 32);
    arrive(c);
    count_thread_begins();
    c->main(c->argument);
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
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    c->stack_size = (stack_size ? stack_size : DEFAULT_STACK) + page;
    c->stack = mmap(NULL, c->stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
                    -1, 0);
    if (c->stack == MAP_FAILED || mprotect(c->stack, page, PROT_NONE) < 0) {
        PyErr_SetString(PyExc_MemoryError, "no memory for the stack of a thread");
        return -1;
    }
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

static void switch_to(uint32_t number)
{
    record_view record;
    context *from = contexts[core_thread], *to = find(number);
    if (stream_peek(&record) == 1 && record.digest != (uint32_t)count_so_far())
        replay_diverged("thread %u ran another way than in the recording before it handed over to thread %u (%u places "
                        "counted, %u recorded)", core_thread, number, (uint32_t)count_so_far(), record.digest);
    stream_take();
    if (from == to)
        return;
    leave(from, number, to);
    arrive(from);
}

void context_switch_as_recorded(void)
{
    uint32_t number;
    int64_t count;
    if (!replay_has_more())
        replay_record_ends();
    if (!next_switch(&number, &count) || count != SWITCH_BLOCKED)
        replay_diverged("thread %u has to wait here, in the recording it did not", core_thread);
    switch_to(number);
}

void context_preempt(int64_t place)
{
    uint32_t number;
    int64_t recorded;
    if (!next_switch(&number, &recorded) || recorded != place)
        replay_diverged("the recording has no hand-over of the turn here, one was expected");
    switch_to(number);
}
