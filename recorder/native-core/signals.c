#include "signals.h"
#include "callback.h"
#include "contexts.h"
#include "count.h"
#include "decode.h"
#include "errors.h"
#include "frames.h"
#include "moment.h"
#include "replay.h"
#include "shared_memory.h"
#include "turn.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define SIGNALS 65
#define PATIENCE_NS 20000000u      /* how long a signal waits for a call at the boundary, where events are not counted */
#define IMPATIENCE_NS 250000000u   /* the same Ctrl-C again after this time: it is run where nobody can find it */

bool signals_waiting;

/* What CPython calls for a signal in the place of the program's handler. CPython owns it, and lets it go, and the handler
 * with it, where it would let the handler go: at the interpreter's end that decides which objects die. */
typedef struct {
    PyObject_HEAD
    PyObject *handler;
    struct sigaction before; /* replay: what the system does at the signal, whatever the program wants */
    int number;
} relay;

static relay *relays[SIGNALS];       /* borrowed: what CPython holds for the program's handlers; NULL: not a callable */
static bool waits[SIGNALS];
static uint64_t waiting_since[SIGNALS];
static int running;                  /* handlers that are running, one inside the other */
static uint32_t main_thread = 1;     /* in the child of a fork: the one that forked */
static int crossing;                 /* calls that the main thread is making across the boundary */
static bool only_noting;             /* the main thread has no right to run a handler now */
static int64_t calls;                /* of what has a place of its own: both sides count them */

/* Replay: the next record, when `signals_waiting`. */
static struct {
    int number;
    int64_t place;
    moment sought;
} next;

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t place_of(enum signal_place place, int64_t n)
{
    return -((int64_t)place + 16 * n);
}

/* --- running a handler -------------------------------------------------------------------------------- */

static PyObject *call_handler(int number)
{
    PyObject *handler = number > 0 && number < SIGNALS && relays[number] ? Py_NewRef(relays[number]->handler) : NULL;
    if (!handler)
        Py_RETURN_NONE; /* it was changed meanwhile */
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    PyObject *result = PyObject_CallFunction(handler, "iO", number, frame ? (PyObject *)frame : Py_None);
    Py_XDECREF((PyObject *)frame);
    Py_DECREF(handler);
    return result;
}

static int run_handler(int number)
{
    running++;
    PyObject *result = call_handler(number);
    running--;
    Py_XDECREF(result);
    return result ? 0 : -1;
}

PyObject *signals_call_back(PyObject *Py_UNUSED(self), PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    int number = PyTuple_GET_SIZE(args) ? (int)PyLong_AsLong(PyTuple_GET_ITEM(args, 0)) : -1;
    return call_handler(number);
}

/* --- recording ------------------------------------------------------------------------------------------ */

static void write_int(record_writer *w, int64_t value)
{
    write_bytes(w, "i", 1);
    write_bytes(w, &value, 8);
}

static void write_record(int number, int64_t place, const moment *sought)
{
    record_writer w;
    record_begin(&w, 0, KIND_SIGNAL, 0, (uint32_t)count_so_far());
    write_bytes(&w, sought ? "(\4\0\0\0" : "(\2\0\0\0", 5);
    write_int(&w, number);
    write_int(&w, place);
    if (sought) {
        write_int(&w, (int64_t)sought->here);
        write_int(&w, (int64_t)sought->whole);
    }
    if (record_end(&w) < 0)
        PyErr_Clear(); /* 41 bytes of fixed form cannot fail to encode */
}

static void write_note(const char *text, unsigned flags)
{
    record_writer w;
    record_begin(&w, 0, KIND_NOTE, flags, 0);
    write_bytes(&w, "s", 1);
    write_count(&w, (uint32_t)strlen(text));
    write_bytes(&w, text, strlen(text));
    if (record_end(&w) < 0)
        PyErr_Clear();
}

static void look_who_waits(void)
{
    signals_waiting = false;
    for (int n = 1; n < SIGNALS; n++)
        signals_waiting |= waits[n];
}

/* Runs the handlers of all signals that wait, in the order of their numbers, as CPython does. Those that come
 * meanwhile interrupt the handlers. */
static int deliver(int64_t place, const moment *sought)
{
    bool due[SIGNALS];
    int failed = 0;
    memcpy(due, waits, sizeof due);
    memset(waits, 0, sizeof waits);
    signals_waiting = false;
    for (int n = 1; n < SIGNALS; n++) {
        if (!due[n] || !relays[n])
            continue;
        if (failed) {
            waits[n] = true;
            continue;
        }
        write_record(n, place, sought);
        shared_memory_record_inside();
        failed = run_handler(n);
        place = place_of(SIGNAL_NEXT, running);
        sought = NULL;
    }
    look_who_waits();
    if (signals_waiting)
        count_wake();
    return failed;
}

/* CPython calls this where it looks for signals: between two instructions, or inside a call that was interrupted. */
static PyObject *relay_call(PyObject *self, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    int number = ((relay *)self)->number;
    PyObject *frame = PyTuple_GET_SIZE(args) > 1 ? PyTuple_GET_ITEM(args, 1) : Py_None;
    if (core_mode == MODE_OFF)
        return call_handler(number);
    if (core_mode != MODE_RECORD)
        Py_RETURN_NONE;
    PyObject_GC_UnTrack(args); /* a replay has none for gc.get_objects to show */
    if (callback_is_open() && !only_noting) {
        PyObject *numbers = Py_BuildValue("(i)", number);
        PyObject *result = numbers ? callback_record(CALLBACK_SIGNAL, signals_call_back, NULL, numbers, NULL) : NULL;
        Py_XDECREF(numbers);
        return result;
    }
    uint64_t now = clock_ns();
    if (number == SIGINT && waits[number] && now - waiting_since[number] > IMPATIENCE_NS) {
        write_note("Ctrl-C came inside a call that runs on and on: nobody could say where", FLAG_LOST);
        waits[number] = false;
        look_who_waits();
        return call_handler(number);
    }
    if (!waits[number])
        waiting_since[number] = now;
    waits[number] = signals_waiting = true;
    if (count_is_on)
        count_wake();
    else if (count_watch(true) < 0)
        return NULL;
    count_frame(PyFrame_Check(frame) ? (PyFrameObject *)frame : NULL);
    Py_RETURN_NONE;
}

/* --- replay ------------------------------------------------------------------------------------------------ */

static bool read_next(void)
{
    record_view record;
    int64_t values[4] = {0};
    if (stream_peek(&record) != 1 || record.kind != KIND_SIGNAL || (record.size != 23 && record.size != 41))
        return false;
    for (uint32_t i = 0; i < (record.size - 5) / 9; i++)
        memcpy(&values[i], record.payload + 6 + 9 * i, 8);
    next.number = (int)values[0];
    next.place = values[1];
    next.sought = (moment){(uint64_t)values[2], (uint64_t)values[3]};
    return next.place != -(int64_t)SIGNAL_ALLOCATION;
}

void signals_look_ahead(void)
{
    if (!frames_gil_held())
        return; /* the running thread is over: who comes next looks */
    signals_waiting = read_next();
    bool seek = signals_waiting && (next.place == place_of(SIGNAL_SOUGHT, 0) || next.place == place_of(SIGNAL_LOOP, 0));
    if (count_watch(seek) < 0)
        replay_diverged("the place of a signal cannot be looked for (%S)", PyErr_Occurred());
    count_expect(signals_waiting && next.place >= 0 ? next.place : context_next_preemption());
}

static int run_as_recorded(void)
{
    record_view record;
    int failed = 0;
    do {
        int number = next.number;
        if (stream_peek(&record) == 1 && record.digest != (uint32_t)count_so_far())
            replay_diverged("the program ran another way than in the recording before signal %d (%u places counted, %u "
                            "recorded)", number, (uint32_t)count_so_far(), record.digest);
        stream_take();
        shared_memory_replay_inside();
        failed = run_handler(number);
    } while (!failed && signals_waiting && next.place == place_of(SIGNAL_NEXT, running));
    return failed;
}

/* --- the places -------------------------------------------------------------------------------------------- */

bool signals_are_mine(void)
{
    return turn_thread() == main_thread;
}

/* Is the next record that of a handler at this place? */
static bool is_at(int64_t place)
{
    return core_mode == MODE_REPLAY && signals_waiting && next.place == place;
}

bool signals_are_due(int64_t count)
{
    if (!signals_waiting || !signals_are_mine())
        return false;
    if (core_mode == MODE_REPLAY)
        return is_at(place_of(SIGNAL_SOUGHT, 0)) ? moment_is(&next.sought) : count_is_on && next.place == count;
    if (count_is_on)
        return true;
    uint64_t first = UINT64_MAX;
    for (int n = 1; n < SIGNALS; n++)
        if (waits[n] && waiting_since[n] < first)
            first = waiting_since[n];
    return clock_ns() - first >= PATIENCE_NS;
}

int signals_at_event(int64_t count)
{
    bool certain;
    if (core_mode == MODE_REPLAY)
        return run_as_recorded();
    if (count_watch(false) < 0)
        return -1;
    if (count >= 0)
        return deliver(count, NULL);
    moment now = moment_now(&certain);
    if (!certain)
        write_note("a signal came in code that does nothing outside Python: its place is found again by what the "
                   "program's variables held, and not all of that could be compared", 0);
    return deliver(place_of(SIGNAL_SOUGHT, 0), &now);
}

bool signals_are_in_loop(void)
{
    return signals_waiting && signals_are_mine() && (core_mode == MODE_RECORD || is_at(place_of(SIGNAL_LOOP, 0)));
}

static int deliver_or_repeat(int64_t place)
{
    if (core_mode == MODE_REPLAY)
        return is_at(place) ? run_as_recorded() : 0;
    return count_watch(false) < 0 ? -1 : deliver(place, NULL);
}

int signals_at_loop(void)
{
    return deliver_or_repeat(place_of(SIGNAL_LOOP, 0));
}

/* An exception may come out of a call that bytecode made itself, there CPython looks for signals as well; C code might
 * not expect it, when what it asked for has happened. */
static bool is_called_by_bytecode(const boundary_call *call)
{
    return frames_pass(frames_top(PyThreadState_Get()), call->args, call->nargs);
}

int signals_before_call(const boundary_entry *entry, const boundary_call *call)
{
    if (!signals_are_mine())
        return 0;
    int64_t place = place_of(SIGNAL_BEFORE, crossing);
    bool due = signals_waiting && (core_mode == MODE_REPLAY || entry->blocking || is_called_by_bytecode(call));
    int failed = due ? deliver_or_repeat(place) : 0;
    crossing += !failed;
    return failed;
}

int signals_after_call(const boundary_entry *entry, const boundary_call *call, const PyObject *result)
{
    if (!signals_are_mine())
        return 0;
    crossing--;
    if (!result)
        return 0;
    if (core_mode == MODE_RECORD && entry->blocking && PyErr_CheckSignals() < 0)
        return -1;
    if (!signals_waiting || (core_mode != MODE_REPLAY && !is_called_by_bytecode(call)))
        return 0;
    return deliver_or_repeat(place_of(SIGNAL_AFTER, crossing));
}

int signals_at_call(void)
{
    int64_t place = place_of(SIGNAL_CALL, ++calls);
    if (!signals_are_mine())
        return 0;
    if (core_mode == MODE_RECORD && PyErr_CheckSignals() < 0)
        return -1;
    return signals_waiting ? deliver_or_repeat(place) : 0;
}

int signals_in_wait(void)
{
    if (!signals_are_mine() || core_mode == MODE_OFF)
        return 0;
    if (core_mode == MODE_RECORD && PyErr_CheckSignals() < 0)
        return -1;
    int64_t place = place_of(SIGNAL_WAIT, 0);
    bool due = core_mode == MODE_REPLAY ? is_at(place) : signals_waiting;
    if (!due)
        return 0;
    return deliver_or_repeat(place) < 0 ? -1 : 1;
}

void signals_take_note(void)
{
    only_noting = true;
    if (PyErr_CheckSignals() < 0)
        PyErr_WriteUnraisable(NULL);
    only_noting = false;
}

void signals_forked(void)
{
    main_thread = turn_thread();
    memset(waits, 0, sizeof waits);
    if (core_mode == MODE_RECORD)
        signals_waiting = false;
}

/* --- handlers ------------------------------------------------------------------------------------------------- */

static PyTypeObject *relay_type;

/* CPython has given the system's default back at its end, which a replay must not die of. */
static void relay_dealloc(PyObject *op)
{
    relay *self = (relay *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (relays[self->number] == self) {
        relays[self->number] = NULL;
        if (core_mode == MODE_REPLAY)
            sigaction(self->number, &self->before, NULL);
    }
    Py_DECREF(self->handler);
    PyObject_Free(op);
    Py_DECREF(type);
}

static PyType_Slot relay_slots[] = {{Py_tp_call, relay_call}, {Py_tp_dealloc, relay_dealloc}, {0}};

static PyType_Spec relay_spec = {
    .name = "retroscope.recorder._core.relay",
    .basicsize = sizeof(relay),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = relay_slots,
};

PyObject *signals_relay(int number, PyObject *handler)
{
    if (!relay_type && !(relay_type = (PyTypeObject *)PyType_FromSpec(&relay_spec)))
        return NULL;
    relay *self = PyObject_New(relay, relay_type);
    if (!self)
        return NULL;
    self->handler = Py_NewRef(handler);
    self->number = number;
    sigaction(number, NULL, &self->before);
    return (PyObject *)self;
}

PyObject *signals_handler(PyObject *known)
{
    return relay_type && Py_TYPE(known) == relay_type ? ((relay *)known)->handler : NULL;
}

void signals_set_relay(int number, PyObject *installed)
{
    if (number > 0 && number < SIGNALS)
        relays[number] = installed ? (relay *)installed : NULL;
}
