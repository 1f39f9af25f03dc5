#define _GNU_SOURCE
#include "control.h"

#include "abandoned.h"
#include "after_record.h"
#include "branch.h"
#include "channel.h"
#include "core.h"
#include "decode.h"
#include "entries.h"
#include "frames.h"
#include "look.h"
#include "line_numbers.h"
#include "marked.h"
#include "message.h"
#include "observe.h"
#include "probe.h"
#include "running_loops.h"
#include "seal.h"
#include "search.h"
#include "surroundings.h"
#include "visible.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int core_looking;
uint32_t core_thread = 1;

enum { OP_RUN = 1, OP_FORK, OP_LOOK, OP_BREAKPOINTS, OP_QUIT, OP_WATCH, OP_CONDITIONS, OP_STREAM, OP_STACK, OP_MARK,
       OP_BRANCH, OP_CHANGE, OP_OBSERVE,
       OP_HELLO = 100, OP_STOPPED, OP_FRAMES };

typedef struct {
    uint32_t op, argument;
} message_head;

typedef struct {
    message_head head;
    search_request request;
} run_message;

typedef struct __attribute__((packed)) {
    message_head head;
    uint32_t pid;
    uint64_t tick;
} hello_message;

typedef struct {
    message_head head;
    uint32_t reason, pid;
    uint64_t tick, input;
    uint32_t depth, thread;
    uint64_t matches;
    uint32_t kept, text_size;
} stopped_message;

_Static_assert(sizeof(run_message) == 32, "as documented in Seam 4");
_Static_assert(sizeof(hello_message) == 20, "as documented in Seam 4");
_Static_assert(sizeof(stopped_message) == 56, "as documented in Seam 4");
_Static_assert(sizeof(search_match) == 24, "as documented in Seam 4");

/* The controller's socket, -1 in a process without one. */
static int channel = -1;

/* The same before this process is under control, for the last word of one that does not get so far. */
static int announced = -1;
static char request[CHANNEL_BYTES];

/* Set around our own fork(): any other is the program's. */
static bool forking;

/* Whether the running frame is the program's: not before it began, nor after its end. */
static bool in_program;

/* Long enough for a message with its stack; what is longer is cut, and says so. */
static char text_bytes[1 << 16];

bool control_present(void)
{
    return channel >= 0;
}

/* --- one stop ------------------------------------------------------------------------------------------- */

static void send_stopped(enum stop_reason reason, const char *text)
{
    search_match matches[SEARCH_KEPT + 1];
    stopped_message m = {
        .head = {.op = OP_STOPPED},
        .reason = reason,
        .pid = (uint32_t)getpid(),
        .tick = ticks_now,
        .input = stream_inputs,
        .depth = frames_depth(frames_current(), ticks_now),
        .thread = core_thread,
        .text_size = (uint32_t)strlen(text),
    };
    m.kept = (uint32_t)search_found(matches, &m.matches);
    if (!channel_send(channel, &m, sizeof m, matches, m.kept * sizeof *matches, text, m.text_size))
        _exit(0);
}

/* A raw fork: the child keeps every thread state, which PyOS_AfterFork_Child would delete, and as it has the GIL,
 * the same thread and the same stack, the interpreter needs no repair. */
static pid_t raw_fork(void)
{
    forking = true;
    pid_t before = getpid(), pid = fork();
    forking = false;
    if (pid == 0)
        running_loops_follow(before);
    return pid;
}

static void fork_snapshot(int passed)
{
    pid_t pid = raw_fork();
    if (pid != 0) {
        close(passed);  /* where fork failed the other end sees it close */
        return;
    }
    close(channel);
    channel = channel_move_up(passed);
    observe_forget();
    hello_message m = {.head = {.op = OP_HELLO}, .pid = (uint32_t)getpid(), .tick = ticks_now};
    if (!channel_send(channel, &m, sizeof m, NULL, 0, NULL, 0))
        _exit(0);
}

static void fork_looker(int passed)
{
    pid_t pid = raw_fork();
    if (pid != 0) {
        close(passed);
        return;
    }
    close(channel);
    channel = -1;
    observe_forget();
    look_and_exit(passed, in_program);
}

/* Answers STACK: the running thread's frames, or what is left of the marked ones. */
static void send_frames(bool left)
{
    static uint64_t frames[MARKED_MOST];
    message_head head = {.op = OP_FRAMES};
    size_t n = left ? marked_left(frames) : marked_stack(frames);
    if (!channel_send(channel, &head, sizeof head, frames, n * sizeof *frames, NULL, 0))
        _exit(0);
}

/* When nothing has to be looked at on the way. */
static void wake_for_limit(void)
{
    ticks_wake_at(search_current.until);
    ticks_wake_by(after_record_tick);
}

/* Begins the run the controller asks for; false when there is nothing to run. */
static bool begin_run(const run_message *m)
{
    search_begin(&m->request);
    entries_are_ticks(m->request.want & WANT_TOTALS);
    if (m->request.until <= ticks_now)
        return false;
    if (search_every_line())
        ticks_wake_at(0);
    else
        wake_for_limit();
    return true;
}

/* Takes one request; true when the process is to run. */
static bool take_request(enum stop_reason reason, const char *text)
{
    int passed;
    ssize_t n = channel_receive(channel, request, sizeof request, &passed);
    if (n == 0)
        _exit(0);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;  /* snapshots and lookers that are gone */
    uint32_t op = n >= (ssize_t)sizeof(message_head) ? ((message_head *)(void *)request)->op : 0;
    if (op == OP_QUIT)
        _exit(0);
    if (op == OP_FORK && passed >= 0) {
        fork_snapshot(passed);
        return false;
    }
    if (op == OP_LOOK && passed >= 0) {
        fork_looker(passed);
        return false;
    }
    if (op == OP_CHANGE && passed >= 0 && branch_is_here && in_program) {
        look_in_place(passed);
        return false;
    }
    bool branching = op == OP_BRANCH && passed >= 0 && branch_begin(passed);
    if (op == OP_OBSERVE && passed >= 0 && n == (ssize_t)sizeof(message_head) &&
        observe_begin(channel_move_up(passed), ((message_head *)(void *)request)->argument))
        return false;
    bool streaming = op == OP_STREAM && passed >= 0 && reason == STOP_FORK && stream_map(passed) == 0;
    if (passed >= 0)
        close(passed);
    if (streaming || branching)
        return false;
    if (op == OP_RUN && n == (ssize_t)sizeof(run_message)) {
        bool over = reason == STOP_END || reason == STOP_DIVERGED || reason == STOP_SEALED;
        if (!over && begin_run((run_message *)(void *)request))
            return true;
        send_stopped(over ? reason : STOP_LIMIT, over ? text : "");
        return false;
    }
    if (op == OP_STACK && n == (ssize_t)sizeof(message_head)) {
        send_frames(((message_head *)(void *)request)->argument);
        return false;
    }
    const char *body = request + sizeof(message_head);
    size_t size = n >= (ssize_t)sizeof(message_head) ? (size_t)n - sizeof(message_head) : 0;
    bool understood = (op == OP_BREAKPOINTS && search_set_breakpoints(body, size)) ||
                      (op == OP_WATCH && watch_set(body, size)) || (op == OP_CONDITIONS && probe_arm(body, size)) ||
                      (op == OP_MARK && marked_set(body, size));
    if (!understood)
        control_fatal("The replay process was sent a request that it does not understand (operation %u, %zd bytes).",
                      op, n);
    return false;
}

static void stop(enum stop_reason reason, const char *text)
{
    int saved = errno;
    observe_flush();
    after_record_run(false);
    send_stopped(reason, text);
    while (!take_request(reason, text))
        ;
    abandoned_watch(channel, OP_QUIT);
    after_record_run(true);
    errno = saved;
}

void control_stop_here(enum stop_reason reason)
{
    stop(reason, "");
}

void control_tick(void)
{
    if (ticks_now >= search_current.until)
        stop(STOP_LIMIT, "");
}

void control_at_fork(void)
{
    if (channel >= 0 && search_current.want & WANT_FORKS)
        stop(STOP_FORK, "");
}

/* --- the last word -------------------------------------------------------------------------------------- */

static char uncaught_name[512];
static uint64_t uncaught_tick = TICK_UNKNOWN;

/* Stops for ever: nothing can make this process run on. Without a controller the text goes to stderr. */
_Noreturn static void stop_for_ever(enum stop_reason reason, const char *text)
{
    ticks_hide();
    if (channel < 0)
        channel = announced;
    if (channel >= 0 && !core_looking) {
        observe_last();
        for (;;)
            stop(reason, text);
    }
    if (reason != STOP_END || core_looking) {
        size_t size = strlen(text);
        for (size_t done = 0; done < size;) {
            ssize_t n = write(2, text + done, size - done);
            if (n <= 0)
                break;  /* stderr is closed: nobody listens */
            done += (size_t)n;
        }
        if (write(2, "\n", 1) < 0)
            _exit(3);
        _exit(3);
    }
    _exit(0);
}

void control_uncaught(PyObject *exception)
{
    message name = message_in(uncaught_name, sizeof uncaught_name);
    const char *type = Py_TYPE(exception)->tp_name;
    const char *dot = strrchr(type, '.');
    message_add(&name, "%s", dot ? dot + 1 : type);
    uncaught_tick = ticks_of_raise(exception);
}

const char *control_uncaught_name(void)
{
    return uncaught_name;
}

static void add_tick(message *m, uint64_t tick)
{
    if (tick == TICK_UNKNOWN)
        message_add(m, "null");
    else
        message_add(m, "%llu", (unsigned long long)tick);
}

/* The JSON object of END. `status` below 0 and `signal_number` 0 are unknown. */
static const char *end_text(int status, int signal_number, bool is_cut_off)
{
    message m = message_in(text_bytes, sizeof text_bytes);
    message_add(&m, "{\"status\": ");
    if (status < 0)
        message_add(&m, "null");
    else
        message_add(&m, "%d", status);
    message_add(&m, ", \"uncaught\": ");
    if (uncaught_name[0])
        message_add_json(&m, uncaught_name);
    else
        message_add(&m, "null");
    message_add(&m, ", \"raise_tick\": ");
    add_tick(&m, uncaught_tick);
    message_add(&m, ", \"signal\": ");
    if (signal_number)
        message_add(&m, "%d", signal_number);
    else
        message_add(&m, "null");
    message_add(&m, ", \"cut_off\": %s}", is_cut_off ? "true" : "false");
    return text_bytes;
}

void control_end(int status, const char *uncaught, PyObject *exception)
{
    if (exception)
        control_uncaught(exception);
    if (uncaught)
        snprintf(uncaught_name, sizeof uncaught_name, "%s", uncaught);
    in_program = false;
    stop_for_ever(STOP_END, end_text(status, 0, false));
}

void control_killed(int signal_number)
{
    watch_fault();
    if (core_looking)
        _exit(1);
    stop_for_ever(STOP_END, end_text(-1, signal_number, false));
}

void control_cut_off(void)
{
    stop_for_ever(STOP_END, end_text(-1, 0, true));
}

/* `text` may be the program's own memory: kept where it cannot change, and cut if it is too long to send. */
_Noreturn static void stop_with_copy(enum stop_reason reason, const char *text)
{
    message m = message_in(text_bytes, sizeof text_bytes);
    message_add_bytes(&m, text, strlen(text));
    stop_for_ever(reason, text_bytes);
}

void control_diverged(const char *text)
{
    stop_with_copy(STOP_DIVERGED, text);
}

void control_sealed(const char *text)
{
    stop_with_copy(STOP_SEALED, text);
}

void control_fatal(const char *format, ...)
{
    va_list values;
    message m = message_in(text_bytes, sizeof text_bytes);
    va_start(values, format);
    message_add_list(&m, format, values);
    va_end(values);
    stop_for_ever(STOP_DIVERGED, text_bytes);
}

/* --- the beginning -------------------------------------------------------------------------------------- */

/* A fork that is not ours would leave two processes on one socket. */
static void before_fork(void)
{
    if (forking || channel < 0 || core_looking || ticks_hidden)
        return;
    seal_caught("fork()");
}

static PyObject *py_announce(PyObject *Py_UNUSED(module), PyObject *arg)
{
    int fd = (int)PyLong_AsLong(arg);
    if (fd < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "a descriptor is not negative");
    announced = fd;
    Py_RETURN_NONE;
}

static PyObject *py_begin(PyObject *module, PyObject *args)
{
    int fd;
    PyObject *inspector;
    if (!PyArg_ParseTuple(args, "iO", &fd, &inspector))
        return NULL;
    if (channel >= 0)
        return PyErr_Format(PyExc_RuntimeError, "this process has a controller already");
    if (running_loops_prepare() < 0 || observe_prepare() < 0 || line_numbers_start() < 0 || ticks_start() < 0)
        return NULL;
    entries_prepare();
    look_set_inspector(inspector, module);
    fflush(NULL);
    if (surroundings_leave(control_killed) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    int failed = pthread_atfork(before_fork, NULL, NULL);
    if (failed) {
        errno = failed;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    int sealed = seal_apply();
    announced = -1;
    channel = channel_move_up(fd);
    stop(STOP_READY, sealed == SEAL_APPLIED ? "" : seal_missing_text());
    in_program = true;
    Py_RETURN_NONE;
}

/* --- for Python ------------------------------------------------------------------------------------------- */

static PyObject *py_end(PyObject *Py_UNUSED(module), PyObject *args)
{
    int status;
    const char *uncaught;
    PyObject *exception;
    if (!PyArg_ParseTuple(args, "izO", &status, &uncaught, &exception))
        return NULL;
    control_end(status, uncaught, exception == Py_None ? NULL : exception);
}

static PyObject *py_diverged(PyObject *Py_UNUSED(module), PyObject *arg)
{
    const char *text = PyUnicode_AsUTF8(arg);
    if (!text)
        return NULL;
    control_diverged(text);
}

static PyMethodDef functions[] = {
    {"replay_announce", py_announce, METH_O,
     "replay_announce(control_fd): who is told when the record ends, or differs, before `replay_begin`."},
    {"replay_begin", py_begin, METH_VARARGS,
     "replay_begin(control_fd, inspector): seals this process, puts it under control, says READY and waits for RUN."},
    {"control_end", py_end, METH_VARARGS,
     "control_end(status, uncaught_type_name, exception): the program is over. Never returns."},
    {"control_diverged", py_diverged, METH_O, "control_diverged(text): the replay cannot go on. Never returns."},
    {0},
};

int control_register(PyObject *module)
{
    if (PyModule_AddFunctions(module, functions) < 0 || ticks_register(module) < 0)
        return -1;
    return look_register(module) < 0 || visible_register(module) < 0 || watch_register(module) < 0 || probe_register(module) < 0 ? -1 : 0;
}
