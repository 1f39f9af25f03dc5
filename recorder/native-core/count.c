#include "count.h"
#include "code_cache.h"
#include "contexts.h"
#include "control.h"
#include "entries.h"
#include "errors.h"
#include "frames.h"
#include "opcode_events.h"
#include "signals.h"
#include "ticks.h"
#include "tracer.h"
#include "turn.h"

#include <stddef.h>
#include <time.h>

#define LOOK_EVERY 200           /* counted events between two looks at the clock */
#define SLICE_NS 5000000         /* as sys.setswitchinterval's default */
#define CALM_MAGNITUDES 16       /* 1 to 65,535 counted events without a preemption */
#define BUSY_MAGNITUDES 5        /* 1 to 31 preemptions ... */
#define BUSY_GAP_MAGNITUDES 9    /* ... at most 1 to 511 counted events apart */

#define NEWEST_MAGNITUDES 5      /* 1 to 31 hand-overs to the newest: those that others wait for must get on too */

int count_is_on;
bool count_events_are_on;

static bool watching;
static int64_t counted, step;         /* step: what an event adds, 0 while nothing is counted */
static int64_t wake_at = INT64_MAX;   /* leave the fast path at this count */
static uint64_t slice_began;
static uint64_t chaos_state;                 /* 0: no chaos */
static unsigned busy_left, busy_magnitude;   /* preemptions left in a busy stretch, and how close they are */
static unsigned newest_left;                 /* so often the newest that is ready goes on: who was preempted long waits */

int64_t count_so_far(void)
{
    return counted;
}

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64*: cheap, and seeded, so that a chaotic recording can be asked for again. */
static uint64_t draw(void)
{
    chaos_state ^= chaos_state >> 12;
    chaos_state ^= chaos_state << 25;
    chaos_state ^= chaos_state >> 27;
    return chaos_state * 2685821657736338717u;
}

/* From 2^m to 2^(m+1) - 1, m drawn below `magnitudes`: all orders of magnitude are as likely. */
static uint64_t draw_size(unsigned magnitudes)
{
    uint64_t least = (uint64_t)1 << draw() % magnitudes;
    return least + draw() % least;
}

/* Rare orders need several preemptions close together, and they cost time: so busy stretches alternate with calm ones.
 * The first may be either, for a short program has no second. */
static int64_t chaotic_gap(void)
{
    if (busy_left == 0) {
        busy_left = (unsigned)draw_size(BUSY_MAGNITUDES);
        busy_magnitude = 1 + (unsigned)(draw() % BUSY_GAP_MAGNITUDES);
        newest_left = draw() & 1 ? (unsigned)draw_size(NEWEST_MAGNITUDES) : 0;
        if (draw() & 1)
            return (int64_t)draw_size(CALM_MAGNITUDES);
    }
    busy_left--;
    return (int64_t)draw_size(busy_magnitude);
}

bool count_chaos_strikes(void)
{
    return chaos_state && core_mode == MODE_RECORD && (busy_left ? draw() % 4 == 0 : draw() % 64 == 0);
}

unsigned count_chaos_picks(unsigned ready)
{
    if (!chaos_state || ready < 2)
        return 0;
    if (newest_left == 0)
        return (unsigned)(draw() % ready);
    newest_left--;
    return ready - 1;
}

static void next_look(void)
{
    wake_at = counted + (chaos_state ? chaotic_gap() : LOOK_EVERY);
}

/* A gap that was drawn while nobody wanted the turn says nothing: it is nearly always a long one, and two threads that
 * both could run may not do so for long. */
void count_chaos_begins(void)
{
    if (!chaos_state || !count_is_on || watching || wake_at <= counted)
        return;
    busy_left = 0;
    next_look();
}

void count_set_chaos(uint64_t seed)
{
    /* SplitMix64: neighbouring seeds must not begin alike. */
    uint64_t mixed = seed + 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    mixed ^= mixed >> 31;
    chaos_state = mixed ? mixed : 1;
}

void count_expect(int64_t count)
{
    wake_at = watching ? INT64_MIN : count < 0 ? INT64_MAX : count;
}

void count_wake(void)
{
    wake_at = INT64_MIN;
}

/* Out of an event, back into the program: what a signal handler runs is traced and counted. */
static int run_signals(int (*run)(void))
{
    PyThreadState *thread = PyThreadState_Get();
    PyThreadState_LeaveTracing(thread);
    int failed = run();
    PyThreadState_EnterTracing(thread);
    return failed;
}

static int at_event(void)
{
    return signals_at_event(count_is_on ? counted : -1);
}

static void preempt(void)
{
    next_look();
    if (!turn_is_wanted())
        return;
    uint64_t now = clock_ns();
    if (!chaos_state && now - slice_began < SLICE_NS)
        return;
    turn_preempt(counted);
    slice_began = clock_ns();
    next_look();
}

/* 0, or -1 with the exception that a signal handler raised. Not more than one thing happens at an event: what a
 * handler runs is counted too, so the count would not say which came first. */
static int __attribute__((noinline)) look_closer(void)
{
    if (core_mode == MODE_OFF)
        wake_at = INT64_MAX;
    else if (signals_are_due(counted))
        return run_signals(at_event);
    else if (core_mode == MODE_REPLAY && !watching)
        context_preempt(counted);
    else if (core_mode == MODE_RECORD && count_is_on)
        preempt();
    return 0;
}

static inline int count_event(void)
{
    if (core_hidden || core_looking || (counted += step) < wake_at)
        return 0;
    return look_closer();
}

#if PY_VERSION_HEX >= 0x030C0000

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
} counter;

/* To switch events on or off makes the interpreter change all code that runs from then on, and threads may become idle and
 * busy again thousands of times a second: so events stay on for so many that nobody counts. */
#define UNCOUNTED_EVENTS 200000

/* sys.monitoring's events, by their numbers in every version that has them. */
#define PY_START_EVENT (1 << 0)
#define INSTRUCTION_EVENT (1 << 6)
#define JUMP_EVENT (1 << 7)

static int tool = -1;
static bool are_set;                 /* the interpreter has been asked for the events, */
static unsigned uncounted;           /* and has told of so many since nobody wants them any more */
static PyObject *raised; /* by a signal handler at a jump: the next instruction raises it; owned */

static int set_events(int events)
{
    PyObject *monitoring = PySys_GetObject("monitoring");
    core_hide();
    PyObject *done = monitoring ? PyObject_CallMethod(monitoring, "set_events", "ii", tool, events) : NULL;
    core_show();
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int wanted_events(void)
{
    return (are_set ? PY_START_EVENT | JUMP_EVENT : 0) | (raised ? INSTRUCTION_EVENT : 0);
}

static void __attribute__((noinline)) count_uncounted(void)
{
    if (core_hidden || core_looking || ++uncounted < UNCOUNTED_EVENTS)
        return;
    are_set = false;
    if (set_events(wanted_events()) < 0)
        PyErr_WriteUnraisable(NULL);
}

static PyObject *on_start(PyObject *Py_UNUSED(self), PyObject *const *Py_UNUSED(args), size_t Py_UNUSED(n),
                          PyObject *Py_UNUSED(names))
{
    if (!count_events_are_on)
        count_uncounted();
    else if (count_event() < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* CPython 3.12 and 3.13 lose their way when this callback raises: next_instr is NULL where the macro INSTRUMENTED_JUMP
 * reckons with it. So the instruction jumped to raises it. */
static PyObject *on_jump(PyObject *Py_UNUSED(self), PyObject *const *Py_UNUSED(args), size_t Py_UNUSED(n),
                         PyObject *Py_UNUSED(names))
{
    if (!count_events_are_on) {
        count_uncounted();
    } else if (count_event() < 0) {
        raised = error_take();
        if (set_events(wanted_events()) < 0)
            PyErr_WriteUnraisable(raised);
    }
    Py_RETURN_NONE;
}

static PyObject *on_instruction(PyObject *Py_UNUSED(self), PyObject *const *Py_UNUSED(args), size_t Py_UNUSED(n),
                                PyObject *Py_UNUSED(names))
{
    if (!raised || core_hidden)
        Py_RETURN_NONE;
    PyObject *error = raised;
    raised = NULL;
    if (set_events(wanted_events()) < 0)
        PyErr_WriteUnraisable(error);
    error_put_back(error);
    return NULL;
}

static PyTypeObject counter_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "retroscope.recorder._core.Counter",
    .tp_basicsize = sizeof(counter),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_vectorcall_offset = offsetof(counter, call),
    .tp_call = PyVectorcall_Call,
};

static int take_tool(PyObject *monitoring)
{
    static const int ids[] = {3, 4, 5, 2, 1, 0};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        PyObject *done = PyObject_CallMethod(monitoring, "use_tool_id", "is", ids[i], "retroscope");
        Py_XDECREF(done);
        if (done)
            return ids[i];
        PyErr_Clear(); /* taken by another tool */
    }
    PyErr_SetString(PyExc_RuntimeError, "all tool ids of sys.monitoring are taken: Retroscope needs one for threads");
    return -1;
}

static int register_counter(PyObject *monitoring)
{
    if (PyType_Ready(&counter_type) < 0 || (tool = take_tool(monitoring)) < 0)
        return -1;
    static const int events[] = {PY_START_EVENT, JUMP_EVENT, INSTRUCTION_EVENT};
    static const vectorcallfunc callbacks[] = {on_start, on_jump, on_instruction};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        counter *c = PyObject_New(counter, &counter_type);
        if (!c)
            return -1;
        c->call = callbacks[i];
        PyObject *done = PyObject_CallMethod(monitoring, "register_callback", "iiN", tool, events[i], c);
        Py_XDECREF(done);
        if (!done)
            return -1;
    }
    return 0;
}

static int switch_events(int on)
{
    PyObject *monitoring = PySys_GetObject("monitoring");
    if (!monitoring || (tool < 0 && register_counter(monitoring) < 0))
        return -1;
    uncounted = 0;
    if (!on || are_set)
        return 0;
    are_set = true;
    opcode_events_keep();
    return set_events(wanted_events());
}

void count_resumes(void)
{
}

void count_thread_begins(void)
{
    slice_began = clock_ns();
}

void count_frame(PyFrameObject *Py_UNUSED(f))
{
}

int count_line_event(PyFrameObject *Py_UNUSED(f))
{
    return 0;
}

int count_call_event(void)
{
    return 0;
}

int count_opcode(void)
{
    return 0;
}

#else

static int on_trace(PyObject *object, PyFrameObject *f, int what, PyObject *arg)
{
    if (what == PyTrace_LINE) {
        if (count_line(f) < 0)
            return -1;
    } else if (what == PyTrace_CALL) {
        if (count_call() < 0)
            return -1;
    } else if (what == PyTrace_OPCODE && count_opcode() < 0) {
        return -1;
    }
    return tracer_call_theirs(object, f, what, arg);
}

bool count_entry(void)
{
    if (!step || watching || core_mode != MODE_RECORD)
        return false;
    if (core_hidden || core_looking)
        return true;
    if (counted + step >= wake_at)
        return false;
    counted += step;
    return true;
}

/* In replay the tick handler traces already, and calls count_line. Other threads follow when they resume. */
static int switch_events(int on)
{
    if (core_mode == MODE_REPLAY)
        return 0;
    tracer_set(on ? on_trace : NULL);
    entries_are_counted(on);
    return 0;
}

void count_resumes(void)
{
    tracer_set(count_events_are_on ? on_trace : NULL);
    entries_go_on();
}

void count_thread_begins(void)
{
    slice_began = clock_ns();
    if (core_mode == MODE_REPLAY)
        ticks_start();
    else
        count_resumes();
}

void count_frame(PyFrameObject *f)
{
    if (f && frames_loops_in_place(frames_current()))
        frames_trace_opcodes(f);
}

int count_line_event(PyFrameObject *f)
{
    PyCodeObject *code = frames_code(frames_traced(f));
    enum code_loop loop = step ? code_loops(code) : CODE_RUNS_ONCE;
    if (loop == CODE_SPINS || (signals_waiting && signals_are_in_loop()))
        frames_trace_opcodes(f);
    if (step)
        return loop ? count_event() : 0;
    return watching && !core_hidden && !core_looking ? look_closer() : 0;
}

int count_call_event(void)
{
    return count_event();
}

/* How often the loop went round matters to nobody: it does nothing. */
static void preempt_spinning(void)
{
    if (core_mode == MODE_REPLAY && context_switch_is_at(SWITCH_SPINNING)) {
        context_preempt(SWITCH_SPINNING);
    } else if (core_mode == MODE_RECORD && turn_is_wanted() && clock_ns() - slice_began >= SLICE_NS) {
        turn_preempt(SWITCH_SPINNING);
        slice_began = clock_ns();
    }
}

int count_opcode(void)
{
    if (core_hidden || core_looking || !count_events_are_on || !frames_loops_in_place(frames_current()))
        return 0;
    if (signals_are_in_loop())
        return run_signals(signals_at_loop);
    if (step)
        preempt_spinning();
    return 0;
}

#endif

static int switch_to(bool on)
{
    if (on == count_events_are_on)
        return 0;
    core_hide();
    int failed = switch_events(on);
    core_show();
    count_events_are_on = on;
    return failed;
}

int count_because(enum count_reason reason, bool on)
{
    int before = count_is_on;
    count_is_on = on ? count_is_on | (int)reason : count_is_on & ~(int)reason;
    step = count_is_on != 0;
    if (before && !count_is_on && signals_waiting && core_mode == MODE_RECORD) {
        watching = true; /* no count says any more where the handler runs */
        wake_at = INT64_MIN;
    }
    int failed = switch_to(count_is_on || watching);
    if (count_is_on && !before && core_mode == MODE_RECORD) {
        slice_began = clock_ns();
        next_look();
    }
    return failed;
}

int count_watch(bool on)
{
    watching = on;
    if (core_mode == MODE_RECORD)
        wake_at = on ? INT64_MIN : count_is_on ? counted : INT64_MAX;
    return switch_to(count_is_on || watching);
}
