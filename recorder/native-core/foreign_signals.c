#define _GNU_SOURCE
/* Signal handlers of extensions: recorded as an outcome of `libc.sigaction`, which has no other. */
#include "foreign_signals.h"
#include "replay.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#define MOST 256 /* handlers that may run between two calls */

/* --- what extensions have asked for ------------------------------------------------------------------------ */

typedef struct {
    struct sigaction held[2];
    _Atomic(struct sigaction *) now; /* the one that counts; NULL: no extension has asked for anything */
} wish;

static wish wishes[NSIG];

/* Those of a fault come from the instruction itself, and run in replay as well; SIGPROF is replay's own. */
static bool is_asynchronous(int number)
{
    static const int others[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (number == others[i])
            return false;
    return number > 0 && number < NSIG;
}

static bool is_handler(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

static void keep(wish *of, const struct sigaction *action)
{
    struct sigaction *next = of->now == &of->held[0] ? &of->held[1] : &of->held[0];
    *next = *action;
    of->now = next;
}

/* --- handlers ---------------------------------------------------------------------------------------------- */

static __thread const char *running; /* where on the stack the handler of this thread began; NULL: none runs */

/* A handler that is left by siglongjmp() does not come back: then the stack is shorter. */
bool foreign_in_handler(void)
{
    if (running && (const char *)__builtin_frame_address(0) > running)
        running = NULL;
    return running != NULL;
}

static void call_handler(const struct sigaction *action, int number, siginfo_t *info, void *context)
{
    const char *outer = running;
    running = __builtin_frame_address(0);
    if (action->sa_flags & SA_SIGINFO)
        action->sa_sigaction(number, info, context);
    else
        action->sa_handler(number);
    running = outer;
}

static struct {
    atomic_bool whole;
    int number;
    siginfo_t info;
} ran[MOST];
static atomic_uint begun, taken;
static atomic_bool too_many;

static void note_run(int number, const siginfo_t *info)
{
    unsigned at = begun;
    do {
        if (at - taken >= MOST) {
            too_many = true;
            return;
        }
    } while (!atomic_compare_exchange_weak(&begun, &at, at + 1));
    ran[at % MOST].number = number;
    ran[at % MOST].info = *info;
    ran[at % MOST].whole = true;
}

/* Stands for the handlers of extensions. A signal that comes in replay, as of a timer that runs there, is none of the
 * recording's. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    const struct sigaction *action = wishes[number].now;
    if (core_mode == MODE_REPLAY || !is_handler(action))
        return;
    note_run(number, info);
    call_handler(action, number, info, context);
}

/* --- installing -------------------------------------------------------------------------------------------- */

/* What the system does in replay stays as it was, but for what would end the process. SIGVTALRM is replay's own. */
static int ask_replay(foreign_function real, int number, const struct sigaction *wanted, struct sigaction *was)
{
    wish *of = &wishes[number];
    if (real(number, 0, (long)was, 0, 0, 0) < 0)
        return -1;
    if (of->now)
        *was = *of->now;
    if (wanted)
        keep(of, wanted);
    const struct sigaction ours = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    if (wanted && is_handler(wanted) && number != SIGVTALRM)
        return (int)real(number, (long)&ours, 0, 0, 0, 0);
    return 0;
}

static int ask(int number, const struct sigaction *wanted, struct sigaction *was)
{
    foreign_function real = foreign_real[foreign_find("sigaction")];
    if (core_mode == MODE_REPLAY && is_asynchronous(number))
        return ask_replay(real, number, wanted, was);
    if (core_mode != MODE_RECORD || !is_asynchronous(number))
        return (int)real(number, (long)wanted, (long)was, 0, 0, 0);
    wish *of = &wishes[number];
    struct sigaction before = of->now ? *of->now : (struct sigaction){0}, ours;
    if (wanted && is_handler(wanted)) {
        keep(of, wanted);
        ours = *wanted;
        ours.sa_sigaction = on_signal;
        ours.sa_flags |= SA_SIGINFO;
        wanted = &ours;
    }
    if ((int)real(number, (long)wanted, (long)was, 0, 0, 0) < 0)
        return -1;
    if (was->sa_sigaction == on_signal)
        *was = before;
    return 0;
}

long foreign_sigaction(unsigned Py_UNUSED(function), const long *a)
{
    struct sigaction was, *asked = (struct sigaction *)a[2];
    struct sigaction wanted = a[1] ? *(const struct sigaction *)a[1] : (struct sigaction){0};
    if (ask((int)a[0], a[1] ? &wanted : NULL, &was) < 0)
        return -1;
    if (asked)
        *asked = was;
    return 0;
}

long foreign_signal(unsigned Py_UNUSED(function), const long *a)
{
    struct sigaction was, wanted = {.sa_handler = (sighandler_t)a[1], .sa_flags = SA_RESTART};
    if ((int)a[0] <= 0 || (int)a[0] >= NSIG) {
        errno = EINVAL;
        return (long)SIG_ERR;
    }
    sigemptyset(&wanted.sa_mask);
    sigaddset(&wanted.sa_mask, (int)a[0]);
    return ask((int)a[0], &wanted, &was) < 0 ? (long)SIG_ERR : (long)was.sa_handler;
}

/* --- the record -------------------------------------------------------------------------------------------- */

void foreign_signals_record(void)
{
    static const char lost[] = "signals came faster than an extension's handler for them can be recorded";
    foreign_call call = {.function = (unsigned)foreign_find("sigaction")};
    int error = errno;
    for (unsigned at = taken; at != begun && ran[at % MOST].whole; at++) {
        siginfo_t info = ran[at % MOST].info;
        int number = ran[at % MOST].number;
        ran[at % MOST].whole = false;
        taken = at + 1;
        foreign_write(&call, number, &info, sizeof info);
    }
    if (too_many)
        foreign_note_lost(lost, sizeof lost - 1);
    too_many = false;
    errno = error;
}

static siginfo_t expected;

void foreign_signals_expect(int number, const char *data, size_t size)
{
    if (!is_asynchronous(number) || !wishes[number].now || !is_handler(wishes[number].now))
        replay_diverged("in the recording a handler of an extension ran for signal %d, which has none here", number);
    memset(&expected, 0, sizeof expected);
    memcpy(&expected, data, size < sizeof expected ? size : sizeof expected);
}

void foreign_signals_replay(int number)
{
    siginfo_t info = expected;
    ucontext_t context;
    getcontext(&context);
    call_handler(wishes[number].now, number, &info, &context);
}

/* Handlers tell a loop of their library by a pipe or an eventfd that something came: it reads that from the record. */
long foreign_handler_calls(unsigned function, const long *a)
{
    const foreign_description *known = &foreign_descriptions[function];
    bool local = known->flags & FOREIGN_LOCAL && foreign_is_local((int)a[0]);
    if (local)
        return foreign_real[function](a[0], a[1], a[2], a[3], a[4], a[5]);
    if (strcmp(known->name, "write") != 0 && strcmp(known->name, "send") != 0) {
        char text[100];
        snprintf(text, sizeof text, "calls %s where it handles a signal", known->name);
        foreign_cannot(text);
    }
    return a[2];
}
