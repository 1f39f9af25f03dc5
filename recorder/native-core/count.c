#include "count.h"
#include "contexts.h"
#include "opcode_events.h"
#include "ticks.h"
#include "tracer.h"
#include "turn.h"

#include <stddef.h>
#include <time.h>

#define LOOK_EVERY 1000          /* counted events between two looks at the clock */
#define SLICE_NS 5000000         /* as sys.setswitchinterval's default */
#define CALM_MAGNITUDES 16       /* 1 to 65,535 counted events without a preemption */
#define BUSY_MAGNITUDES 5        /* 1 to 31 preemptions ... */
#define BUSY_GAP_MAGNITUDES 9    /* ... at most 1 to 511 counted events apart */

int count_is_on;

static int64_t counted;
static int64_t wake_at = INT64_MAX;   /* leave the fast path at this count */
static uint64_t slice_began;
static uint64_t chaos_state;                 /* 0: no chaos */
static unsigned busy_left, busy_magnitude;   /* preemptions left in a busy stretch, and how close they are */

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

static void next_look(void)
{
    wake_at = counted + (chaos_state ? chaotic_gap() : LOOK_EVERY);
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
    wake_at = count < 0 ? INT64_MAX : count;
}

static void __attribute__((noinline)) look_closer(void)
{
    if (core_mode == MODE_REPLAY) {
        context_preempt(counted);
        return;
    }
    if (core_mode != MODE_RECORD) {
        wake_at = INT64_MAX;
        return;
    }
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

static inline void count_event(void)
{
    if (!core_hidden && ++counted >= wake_at)
        look_closer();
}

#if PY_VERSION_HEX >= 0x030C0000

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
} counter;

static PyObject *on_event(PyObject *Py_UNUSED(self), PyObject *const *Py_UNUSED(args), size_t Py_UNUSED(n),
                          PyObject *Py_UNUSED(names))
{
    if (count_is_on)
        count_event();
    Py_RETURN_NONE;
}

static PyTypeObject counter_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "retroscope.recorder._core.Counter",
    .tp_basicsize = sizeof(counter),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_vectorcall_offset = offsetof(counter, call),
    .tp_call = PyVectorcall_Call,
};

/* sys.monitoring's events, by their numbers in every version that has them. */
#define PY_START_EVENT (1 << 0)
#define JUMP_EVENT (1 << 7)

static int tool = -1;

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
    static const int events[] = {PY_START_EVENT, JUMP_EVENT};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        counter *c = PyObject_New(counter, &counter_type);
        if (!c)
            return -1;
        c->call = on_event;
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
    if (on)
        opcode_events_keep();
    PyObject *done = PyObject_CallMethod(monitoring, "set_events", "ii", tool, on ? PY_START_EVENT | JUMP_EVENT : 0);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

void count_thread_begins(void)
{
    slice_began = clock_ns();
}

void count_line(void)
{
}

#else

static int on_trace(PyObject *object, PyFrameObject *frame, int what, PyObject *arg)
{
    if (what == PyTrace_LINE && count_is_on)
        count_event();
    int result = tracer_call_theirs(object, frame, what, arg);
    if (what == PyTrace_LINE && !count_is_on)
        tracer_set(NULL); /* this thread is alone again */
    return result;
}

/* In replay the tick handler traces already, and calls count_line. */
static int switch_events(int on)
{
    if (on && core_mode == MODE_RECORD)
        tracer_set(on_trace);
    return 0;
}

void count_thread_begins(void)
{
    slice_began = clock_ns();
    if (core_mode == MODE_RECORD)
        tracer_set(on_trace);
    else
        ticks_start();
}

void count_line(void)
{
    if (count_is_on)
        count_event();
}

#endif

int count_for(unsigned alive)
{
    int on = alive > 1;
    if (on == count_is_on)
        return 0;
    core_hide();
    int failed = switch_events(on);
    core_show();
    count_is_on = on;
    if (on && core_mode == MODE_RECORD) {
        slice_began = clock_ns();
        next_look();
    }
    return failed;
}
