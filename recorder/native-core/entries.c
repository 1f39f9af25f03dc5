#define _GNU_SOURCE
#define Py_BUILD_CORE 1 /* the interpreter's switch for tracing is in its frame on the C stack */
#include "entries.h"

#if PY_VERSION_HEX < 0x030C0000

#include "code_cache.h"
#include "count.h"
#include "frames.h"
#include "recursion_limit.h"
#include "ticks.h"
#include "tracer.h"

#include <internal/pycore_frame.h>
#include <opcode.h>
#include <pthread.h>

#define NEAR_LIMIT 30 /* calls from the recursion limit it matters which instructions a function itself runs */

static bool on;
static bool ticks;           /* of a replay, not entries of a recording */
static bool threads_met;     /* by a replay: it traces everything from then on */
static unsigned switched;    /* how often; what was traced before says nothing then */
static __thread bool is_deep; /* the thread uses no more C stack for calls */
static __thread char *deep_from;

/* Where a quarter of the thread's stack is used: the program's own C code may need the rest. */
static char *quarter_of_stack(void)
{
    pthread_attr_t attributes;
    void *address;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        Py_FatalError("retroscope: the C stack of a thread has no known size");
    pthread_attr_getstack(&attributes, &address, &size);
    pthread_attr_destroy(&attributes);
    return (char *)address + size - size / 4;
}

/* Does it run an instruction that leaves out the check of the recursion depth (recursion_limit.h)? All that can lead to
 * Python code. */
static bool skips_check(const frame *f)
{
    switch (f ? _Py_OPCODE(*f->prev_instr) : 0) {
    case PRECALL_NO_KW_STR_1:
    case PRECALL_NO_KW_LEN:
    case PRECALL_NO_KW_ISINSTANCE:
    case PRECALL_NO_KW_BUILTIN_FAST:
    case PRECALL_BUILTIN_FAST_WITH_KEYWORDS:
    case PRECALL_NO_KW_METHOD_DESCRIPTOR_FAST:
    case PRECALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS:
        return true;
    default:
        return false;
    }
}

static bool makes_generator(const frame *f)
{
    return f->f_code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR) && f->owner != FRAME_OWNED_BY_GENERATOR;
}

/* A generator that waited for another one which caught what was thrown into both, and then returned, goes on behind the
 * instruction that tells tracing of the entry. */
static bool resumes_untold(const frame *f, int throwing)
{
    if (f->owner != FRAME_OWNED_BY_GENERATOR || throwing || _Py_OPCODE(*f->prev_instr) == RETURN_GENERATOR)
        return false;
    int next = _Py_OPCODE(f->prev_instr[1]);
    return next != RESUME && next != RESUME_QUICK;
}

/* Of the entry of a frame that makes a generator tracing would not tell, nor of one that is too deep. */
static bool runs_untraced(const PyThreadState *thread, const frame *f, int throwing)
{
    if (tracer_theirs || thread->c_profilefunc || thread->recursion_remaining <= NEAR_LIMIT)
        return false;
    if (ticks)
        return !throwing && !count_events_are_on && code_is_one_tick(f->f_code) && ticks_take();
    if (!code_may_run_untraced(f->f_code))
        return false;
    return makes_generator(f) || resumes_untold(f, throwing) ? count_is_on : count_entry();
}

/* By how many calls the program may recurse deeper, because of how `caller` called the C code that enters a function now.
 * What is traced makes a check more than what is not. A recording that counts is traced in part, and makes up for the
 * check that it left out: its replay is traced. A replay makes up for the check that the recording, which was not traced,
 * left out; of functions that are traced it is told (recursion_limit_at_call). */
static int room_for(const _PyCFrame *caller, bool untraced)
{
    if (ticks)
        return untraced && caller->use_tracing ? recursion_limit_left_out(caller->current_frame) : 0;
    return caller->use_tracing || !skips_check(caller->current_frame) ? 0 : -1;
}

/* The calls below take no more C stack: they are traced. */
static PyObject *evaluate_deep(PyThreadState *thread, frame *f, int throwing)
{
    is_deep = true;
    frames_set_second_hook(NULL);
    PyObject *result = frames_evaluate_at_last(thread, f, throwing);
    is_deep = false;
    entries_go_on();
    return result;
}

static PyObject *enter(PyThreadState *thread, frame *f, int throwing)
{
    if (!thread->c_tracefunc || thread->tracing)
        return frames_evaluate_at_last(thread, f, throwing);
    if (!deep_from)
        deep_from = quarter_of_stack();
    _PyCFrame *caller = thread->cframe;
    uint8_t traced = caller->use_tracing;
    unsigned then = switched;
    bool deep = (char *)__builtin_frame_address(0) < deep_from;
    bool untraced = !deep && runs_untraced(thread, f, throwing);
    int room = room_for(caller, untraced);
    thread->recursion_remaining += room;
    caller->use_tracing = untraced ? 0 : 255; /* the callee takes it over */
    PyObject *result = deep ? evaluate_deep(thread, f, throwing) : frames_evaluate_at_last(thread, f, throwing);
    thread->recursion_remaining -= room;
    if (!thread->c_tracefunc && !thread->c_profilefunc)
        caller->use_tracing = 0;
    else
        caller->use_tracing = then == switched && !tracer_theirs && !thread->c_profilefunc ? traced : 255;
    return result;
}

void entries_go_on(void)
{
    frames_set_second_hook(on && !is_deep ? enter : NULL);
}

void entries_are_counted(bool now)
{
    on = now;
    switched++;
    entries_go_on();
}

void entries_are_ticks(bool now)
{
    ticks = now && !threads_met;
    if (ticks != on)
        entries_are_counted(ticks);
}

void entries_meet_threads(void)
{
    threads_met = true;
    if (ticks)
        entries_are_ticks(false);
}

void entries_prepare(void)
{
    deep_from = quarter_of_stack();
}

#else

void entries_are_ticks(bool Py_UNUSED(on))
{
}

void entries_meet_threads(void)
{
}

void entries_prepare(void)
{
}

#endif
