#define _GNU_SOURCE
/* One call into the C library: recorded with what it filled, or answered from the stream. */
#include "control.h"
#include "foreign_arguments.h"
#include "foreign_signals.h"
#include "replay.h"
#include "seal.h"
#include "threads.h"
#include "turn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

bool foreign_threads, foreign_lost;
uint64_t foreign_recorded;
static boundary_entry **defined; /* by index in foreign_descriptions */

int foreign_define(void)
{
    if (defined)
        return 0;
    defined = PyMem_Calloc(foreign_count, sizeof *defined);
    for (unsigned i = 0; defined && i < foreign_count; i++) {
        PyObject *name = PyUnicode_FromFormat("libc.%s", foreign_descriptions[i].name);
        defined[i] = name ? boundary_foreign(name) : NULL;
        if (!defined[i])
            return -1;
    }
    return defined ? 0 : (PyErr_NoMemory(), -1);
}

/* A thread that Python does not know belongs to the extension alone: nothing the program sees depends on when it runs,
 * or the recording could not be exact anyway. */
static bool is_of_program(void)
{
    return core_mode != MODE_OFF && !core_hidden && !core_looking && PyGILState_GetThisThreadState() &&
           !threads_without_turn();
}

bool foreign_crosses(void)
{
    return is_of_program() && !foreign_lost && !foreign_in_handler();
}

long foreign_pass(unsigned function, const long *arguments)
{
    if (core_mode == MODE_REPLAY && foreign_in_handler())
        return foreign_handler_calls(function, arguments);
    if (foreign_lost && is_of_program() && !foreign_in_handler())
        return foreign_run(function, arguments);
    return foreign_real[function](arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

/* --- the GIL --------------------------------------------------------------------------------------------- */

/* The thread state to give the GIL up with afterwards, or NULL: it was held. */
static PyThreadState *hold_gil(void)
{
    if (PyGILState_Check())
        return NULL;
    PyThreadState *state = PyGILState_GetThisThreadState();
    PyEval_RestoreThread(state);
    return state;
}

static void let_gil(PyThreadState *state)
{
    if (state)
        PyEval_SaveThread();
}

/* --- recording ------------------------------------------------------------------------------------------- */

static void write_number(record_writer *w, int64_t value)
{
    write_bytes(w, "i", 1);
    write_bytes(w, &value, 8);
}

static void write_data(record_writer *w, const void *data, size_t size)
{
    write_bytes(w, "b", 1);
    write_count(w, (uint32_t)size);
    write_bytes(w, data, size);
}

void foreign_write(const foreign_call *call, long result, const void *data, size_t size)
{
    record_writer w;
    int error = errno;
    size_t used = 0;
    record_begin(&w, defined[call->function]->id, KIND_RESULT, 0, call->digest);
    write_bytes(&w, "(", 1);
    write_count(&w, 2 + call->outs + (data != NULL));
    write_number(&w, result);
    write_number(&w, error);
    for (unsigned i = 0; i < call->outs; i++)
        write_data(&w, call->out[i].at, foreign_filled(call, i, result, &used));
    if (data)
        write_data(&w, data, size);
    if (record_end(&w) < 0)
        control_fatal("A call of %s by an extension could not be recorded: out of memory.",
                      foreign_descriptions[call->function].name);
    foreign_recorded++;
    errno = error;
}

void foreign_record(const foreign_call *call, long result, const void *data, size_t size)
{
    int error = errno;
    PyThreadState *state = foreign_threads ? hold_gil() : NULL; /* they may run Python code, and records of theirs come */
    errno = error;
    foreign_signals_record();
    foreign_write(call, result, data, size);
    let_gil(state);
    errno = error;
}

static void write_note(unsigned flags, const char *text, size_t size)
{
    record_writer w;
    record_begin(&w, 0, KIND_NOTE, flags, 0);
    write_bytes(&w, "s", 1);
    write_count(&w, (uint32_t)size);
    write_bytes(&w, text, size);
    if (record_end(&w) < 0)
        control_fatal("A note could not be recorded: out of memory.");
}

void foreign_note(const char *text, size_t size)
{
    write_note(0, text, size);
}

void foreign_note_lost(const char *text, size_t size)
{
    write_note(FLAG_LOST, text, size);
}

static long run(unsigned function, const long *a)
{
    long result = foreign_real[function](a[0], a[1], a[2], a[3], a[4], a[5]);
    return foreign_descriptions[function].flags & FOREIGN_INT ? (int)result : result;
}

static bool may_wait(unsigned flags, int fd)
{
    if (!(flags & (FOREIGN_WAITS_READ | FOREIGN_WAITS_WRITE)))
        return (flags & FOREIGN_WAITS) != 0;
    struct pollfd asked = {fd, flags & FOREIGN_WAITS_READ ? POLLIN : POLLOUT, 0};
    return poll(&asked, 1, 0) == 0;
}

long foreign_run(unsigned function, const long *arguments)
{
    if (!may_wait(foreign_descriptions[function].flags, (int)arguments[0]))
        return run(function, arguments);
    return foreign_wait(function, arguments);
}

/* Who waits with the GIL stops everybody: then there is nobody to give the turn to. */
long foreign_wait(unsigned function, const long *arguments)
{
    if (!turn_is_shared || PyGILState_Check())
        return run(function, arguments);
    threads_give_turn();
    long result = run(function, arguments);
    int error = errno;
    PyThreadState *state = hold_gil();
    threads_take_turn();
    let_gil(state);
    errno = error;
    return result;
}

/* --- replaying ------------------------------------------------------------------------------------------- */

static int64_t read_number(const char **p)
{
    int64_t value;
    memcpy(&value, *p + 1, 8);
    *p += 9;
    return value;
}

static const char *read_data(const char **p, const char *end, size_t *size)
{
    uint32_t n;
    if (end - *p < 5 || **p != 'b' || (memcpy(&n, *p + 1, 4), n > (size_t)(end - *p - 5)))
        replay_diverged("the record of a call of an extension is damaged");
    const char *data = *p + 5;
    *p = data + n;
    *size = n;
    return data;
}

static void check_outcome(const record_view *record)
{
    const char *p = record->payload + 5;
    if (record->size < 23 || record->payload[0] != '(' || p[0] != 'i' || p[9] != 'i')
        replay_diverged("the record of a call of an extension is damaged");
}

/* Handlers of extensions that ran in the recording until this call was over. They run as the call was made, with the GIL
 * or without it: what they leave by siglongjmp() goes on so. `state` is what hold_gil() said, and is returned. */
static PyThreadState *run_handlers(PyThreadState *state)
{
    record_view record;
    while (replay_foreign_is_next(defined[foreign_find("sigaction")], &record)) {
        size_t size = 0;
        check_outcome(&record);
        const char *p = record.payload + 5, *end = record.payload + record.size;
        int number = (int)read_number(&p);
        read_number(&p);
        const char *data = read_data(&p, end, &size);
        stream_take();
        foreign_signals_expect(number, data, size);
        let_gil(state);
        foreign_signals_replay(number);
        state = hold_gil();
    }
    return state;
}

long foreign_replay(const foreign_call *call, const char **data, size_t *size)
{
    record_view record;
    PyThreadState *state = run_handlers(hold_gil());
    replay_expect_foreign(defined[call->function], call->digest, &record);
    check_outcome(&record);
    const char *p = record.payload + 5, *end = record.payload + record.size;
    long result = (long)read_number(&p);
    int error = (int)read_number(&p);
    for (unsigned i = 0; i < call->outs; i++) {
        size_t n;
        const char *recorded = read_data(&p, end, &n);
        memcpy(call->out[i].at, recorded, n < call->out[i].size ? n : call->out[i].size);
    }
    if (data)
        *data = p < end ? read_data(&p, end, size) : NULL;
    stream_take();
    let_gil(state);
    errno = error;
    return result;
}

void foreign_cannot(const char *what)
{
    hold_gil();
    seal_cannot(what);
}

void foreign_occupy(int fd)
{
    int empty = memfd_create("occupied", MFD_CLOEXEC);
    if (empty >= 0 && empty != fd) {
        dup2(empty, fd);
        close(empty);
    }
}

/* --- both ------------------------------------------------------------------------------------------------ */

static bool makes_descriptor(unsigned function, const long *arguments)
{
    const foreign_description *known = &foreign_descriptions[function];
    if (known->flags & FOREIGN_FD)
        return true;
    bool is_control = strncmp(known->name, "fcntl", 5) == 0;
    return is_control && ((int)arguments[1] == F_DUPFD || (int)arguments[1] == F_DUPFD_CLOEXEC);
}

/* In replay: what the call made is there, under the recorded number. */
static void occupy_made(unsigned function, const long *arguments, long result)
{
    if (result < 0)
        return;
    const foreign_description *known = &foreign_descriptions[function];
    bool copies = !(known->flags & FOREIGN_FD) || strcmp(known->name, "dup") == 0;
    if (makes_descriptor(function, arguments) && copies && foreign_is_local((int)arguments[0]))
        dup2((int)arguments[0], (int)result);
    else if (makes_descriptor(function, arguments))
        foreign_occupy((int)result);
    const char *pair = strchr(known->arguments, '2');
    if (pair) {
        const int *made = (const int *)arguments[pair - known->arguments];
        foreign_occupy(made[0]);
        foreign_occupy(made[1]);
    }
}

long foreign_cross(unsigned function, const long *arguments)
{
    foreign_call call;
    bool runs = foreign_descriptions[function].flags & FOREIGN_LOCAL && !makes_descriptor(function, arguments);
    if (runs && foreign_is_local((int)arguments[0]))
        return run(function, arguments);
    foreign_read(&call, function, arguments);
    if (strcmp(foreign_descriptions[function].name, "ioctl") == 0 && arguments[1] == FIONREAD)
        call.out[call.outs++] = (struct foreign_out){(void *)arguments[2], sizeof(int), OUT_ALWAYS, NULL};
    if (core_mode == MODE_RECORD) {
        long result = foreign_run(function, arguments);
        foreign_record(&call, result, NULL, 0);
        return result;
    }
    long result = foreign_replay(&call, NULL, NULL);
    int error = errno;
    occupy_made(function, arguments, result);
    errno = error;
    return result;
}
