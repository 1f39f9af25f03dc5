#include "ticks.h"

#include "after_record.h"
#include "control.h"
#include "count.h"
#include "frames.h"
#include "observe.h"
#include "opcode_events.h"
#include "recursion_limit.h"
#include "search.h"
#include "tracer.h"

#include <stddef.h>

uint64_t ticks_now;
uint32_t ticks_hidden;

static uint64_t wake_at = UINT64_MAX;

void ticks_wake_at(uint64_t tick)
{
    wake_at = tick;
}

void ticks_wake_by(uint64_t tick)
{
    if (tick < wake_at)
        wake_at = tick;
}

/* --- first raises --------------------------------------------------------------------------------------- */

/* Exception objects by address and the tick that first raised them. An entry lost to a collision makes the tick
 * unknown, never wrong: an address that another exception takes over is entered anew by its own first raise. */
#define RAISES 65536

static struct {
    PyObject *exception;
    uint64_t tick;
} raises[RAISES];

static size_t raise_slot(PyObject *exception)
{
    return (size_t)((uintptr_t)exception >> 4) * 0x9E3779B97F4A7C15u >> 48;
}

uint64_t ticks_of_raise(PyObject *exception)
{
    size_t slot = raise_slot(exception);
    return raises[slot].exception == exception ? raises[slot].tick : TICK_UNKNOWN;
}

/* At the raise of this one the process is stopped. Borrowed: it cannot die meanwhile. */
static PyObject *raising;

/* The interpreter reports an exception once in every frame it passes. It is newly raised here if its traceback
 * begins here, or if a raise statement raises it (again). */
static void exception_event(PyObject *exception, PyObject *traceback)
{
    if (ticks_hidden || !traceback || !PyTraceBack_Check(traceback))
        return;
    const frame *f = frames_current();
    if (observing && f)
        observe_passing(f);
    const PyTracebackObject *here = (const PyTracebackObject *)traceback;
    if (!f || !frames_has_object(f, here->tb_frame))
        return;  /* an iterator's end, seen by the loop it ends */
    bool begins = here->tb_next == NULL;
    if (!begins && !frames_at_raise(f))
        return;
    size_t slot = raise_slot(exception);
    if (begins || raises[slot].exception != exception) {
        raises[slot].exception = exception;
        raises[slot].tick = ticks_now;
    }
    if (observing)
        observe_raise(f, exception);
    if (search_raise(f, exception)) {
        raising = exception;
        control_stop_here(STOP_MATCH);
        raising = NULL;
    }
}

static void frame_starts(const frame *f)
{
    if (search_starts)
        search_enter(f);
    if (observing)
        observe_start(f);
}

/* --- line events ---------------------------------------------------------------------------------------- */

/* Out of the fast path: something may have to happen at this line. */
static void __attribute__((noinline)) look_closer(PyCodeObject *code, int line)
{
    if (ticks_now >= after_record_tick)
        control_cut_off();
    if (search_line(code, line))
        control_stop_here(STOP_MATCH);
    else
        control_tick();
}

/* One more line event, in the innermost frame, has a reader. `f`: NULL if the frame is not known yet. */
static inline void tell_tick(const frame *f, PyCodeObject *code, int line)
{
    if (observing)
        observe_line(f ? f : frames_current(), line);
    if (ticks_now >= wake_at)
        look_closer(code, line);
}

static inline bool tick_has_reader(void)
{
    if (++ticks_now < wake_at)
        return observing;
    return observing || ticks_now >= after_record_tick || !search_passes();
}

bool ticks_take(void)
{
    if (ticks_hidden)
        return true;
    if (observing || ticks_now + 1 >= wake_at)
        return false;
    ticks_now++;
    return true;
}

#if PY_VERSION_HEX >= 0x030C0000

/* The callbacks are objects with nothing but a vectorcall: less work per event than a builtin function. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
} event_callback;

static PyTypeObject event_callback_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "retroscope.recorder._core.EventCallback",
    .tp_basicsize = sizeof(event_callback),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_vectorcall_offset = offsetof(event_callback, call),
    .tp_call = PyVectorcall_Call,
};

static PyObject *on_line(PyObject *Py_UNUSED(self), PyObject *const *args, size_t Py_UNUSED(n),
                         PyObject *Py_UNUSED(names))
{
    if (!ticks_hidden && tick_has_reader())
        tell_tick(NULL, (PyCodeObject *)args[0], (int)PyUnstable_Long_CompactValue((PyLongObject *)args[1]));
    Py_RETURN_NONE;
}

static PyObject *on_start(PyObject *Py_UNUSED(self), PyObject *const *Py_UNUSED(args), size_t Py_UNUSED(n),
                          PyObject *Py_UNUSED(names))
{
    if ((search_starts || observing) && !ticks_hidden)
        frame_starts(frames_current());
    Py_RETURN_NONE;
}

static PyObject *on_raise(PyObject *Py_UNUSED(self), PyObject *const *args, size_t Py_UNUSED(n),
                          PyObject *Py_UNUSED(names))
{
    PyObject *exception = args[2];
    exception_event(exception, ((PyBaseExceptionObject *)exception)->traceback);
    Py_RETURN_NONE;
}

static const struct {
    const char *name;
    vectorcallfunc call;
} events[] = {{"LINE", on_line}, {"PY_START", on_start}, {"RAISE", on_raise}};

static int tool = -1;

int ticks_tool(void)
{
    return tool;
}

/* Takes a tool id that nobody has; the ids that sys.monitoring names for debuggers, coverage, profilers and
 * optimizers come last. Returns it, or -1 with an exception set. */
static int take_tool(PyObject *monitoring)
{
    static const int ids[] = {4, 3, 5, 2, 1, 0};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        PyObject *owner = PyObject_CallMethod(monitoring, "get_tool", "i", ids[i]);
        if (!owner)
            return -1;
        bool is_free = owner == Py_None;
        Py_DECREF(owner);
        if (!is_free)
            continue;
        PyObject *done = PyObject_CallMethod(monitoring, "use_tool_id", "is", ids[i], "retroscope");
        Py_XDECREF(done);
        return done ? ids[i] : -1;
    }
    PyErr_SetString(PyExc_RuntimeError, "all tool ids of sys.monitoring are taken: Retroscope needs one to replay");
    return -1;
}

/* Registers one callback and returns its event's bit, or -1 with an exception set. */
static long add_event(PyObject *monitoring, PyObject *names, const char *name, vectorcallfunc call)
{
    event_callback *callback = PyObject_New(event_callback, &event_callback_type);
    PyObject *event = callback ? PyObject_GetAttrString(names, name) : NULL;
    PyObject *done = NULL;
    long bit = -1;
    if (event) {
        callback->call = call;
        bit = PyLong_AsLong(event);
        done = PyObject_CallMethod(monitoring, "register_callback", "iOO", tool, event, callback);
    }
    Py_XDECREF(event);
    Py_XDECREF((PyObject *)callback);
    Py_XDECREF(done);
    return done ? bit : -1;
}

static int set_events(PyObject *monitoring, long bits)
{
    PyObject *done = PyObject_CallMethod(monitoring, "set_events", "il", tool, bits);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int ticks_start(void)
{
    PyObject *monitoring = PySys_GetObject("monitoring");
    if (!monitoring) {
        PyErr_SetString(PyExc_RuntimeError, "sys.monitoring is missing");
        return -1;
    }
    if (PyType_Ready(&event_callback_type) < 0 || (tool < 0 && (tool = take_tool(monitoring)) < 0))
        return -1;
    PyObject *names = PyObject_GetAttrString(monitoring, "events");
    if (!names)
        return -1;
    long bits = 0;
    for (size_t i = 0; i < sizeof events / sizeof *events && bits >= 0; i++) {
        long bit = add_event(monitoring, names, events[i].name, events[i].call);
        bits = bit < 0 ? -1 : bits | bit;
    }
    Py_DECREF(names);
    opcode_events_keep();
    return bits < 0 ? -1 : set_events(monitoring, bits);
}

int ticks_stop(void)
{
    PyObject *monitoring = PySys_GetObject("monitoring");
    if (tool < 0 || !monitoring)
        return 0;
    if (set_events(monitoring, 0) < 0)
        return -1;
    PyObject *done = PyObject_CallMethod(monitoring, "free_tool_id", "i", tool);
    Py_XDECREF(done);
    tool = -1;
    return done ? 0 : -1;
}

#else

int ticks_tool(void)
{
    return -1;
}

static void __attribute__((noinline)) tell_line(PyFrameObject *frame_object)
{
    const frame *f = frames_traced(frame_object);
    tell_tick(f, frames_code(f), PyFrame_GetLineNumber(frame_object));
    if (observing)
        observe_opcodes_of(frame_object);
}

static int on_event(PyObject *object, PyFrameObject *frame_object, int what, PyObject *arg)
{
    if (what == PyTrace_LINE) {
        if (!ticks_hidden && tick_has_reader())
            tell_line(frame_object);
        if (count_line(frame_object) < 0)
            return -1;
    } else if (what == PyTrace_OPCODE) {
        if (observing && !ticks_hidden)
            observe_opcode(frames_traced(frame_object));
        if (count_opcode() < 0)
            return -1;
        if (recursion_limit_at_opcode())
            return 0;
    } else if (what == PyTrace_CALL) {
        recursion_limit_at_call(frame_object);
        if ((search_starts || observing) && !ticks_hidden) {
            const frame *f = frames_traced(frame_object);
            if (frames_starting(f))
                frame_starts(f);
        }
        if (count_call() < 0)
            return -1;
    } else if (what == PyTrace_RETURN) {
        recursion_limit_at_return();
        if (observing && arg && !ticks_hidden)
            observe_return(frames_traced(frame_object), arg);
    } else if (what == PyTrace_EXCEPTION) {
        exception_event(PyTuple_GET_ITEM(arg, 1), PyTuple_GET_ITEM(arg, 2));
    }
    return tracer_call_theirs(object, frame_object, what, arg);
}

int ticks_start(void)
{
    tracer_set(on_event);
    return 0;
}

int ticks_stop(void)
{
    tracer_set(NULL);
    return 0;
}

#endif

/* --- for Python ------------------------------------------------------------------------------------------ */

static PyObject *py_now(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return PyLong_FromUnsignedLongLong(ticks_now);
}

static PyObject *py_raising(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return Py_NewRef(raising ? raising : Py_None);
}

static PyObject *py_hide(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    ticks_hide();
    Py_RETURN_NONE;
}

static PyObject *py_counted(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *function, *arguments;
    if (!PyArg_ParseTuple(args, "OO!", &function, &PyTuple_Type, &arguments))
        return NULL;
    uint32_t hidden = ticks_hidden;
    ticks_hidden = 0;
    PyObject *result = PyObject_CallObject(function, arguments);
    ticks_hidden = hidden;
    return result;
}

static PyObject *py_start(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    if (ticks_start() < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *py_stop(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    if (ticks_stop() < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"ticks_now", py_now, METH_NOARGS, "ticks_now() -> int: line events so far."},
    {"raising", py_raising, METH_NOARGS,
     "raising() -> BaseException | None: the exception at whose raise this process is stopped."},
    {"ticks_hide", py_hide, METH_NOARGS, "ticks_hide(): from here on nothing counts, but for ticks_counted()."},
    {"ticks_counted", py_counted, METH_VARARGS, "ticks_counted(function, args): calls it; its lines count."},
    {"ticks_start", py_start, METH_NOARGS, "ticks_start(): count line events from here on."},
    {"ticks_stop", py_stop, METH_NOARGS, "ticks_stop(): count no more."},
    {0},
};

int ticks_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
