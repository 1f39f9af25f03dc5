#define _GNU_SOURCE
#include "after_record.h"
#include "control.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#define IDLE_SECONDS 2 /* of processor time: a loop on one line of 3.12 and later makes no line events */
#define MOST_SECONDS 10

uint64_t after_record_tick = UINT64_MAX;

static volatile sig_atomic_t running;
static uint64_t seen;      /* the tick a second ago */
static int idle, computed; /* seconds: since that tick, and in all */
static pid_t owner;        /* whose seconds these are */

static void on_timer(int Py_UNUSED(signal_number))
{
    if (!running || core_looking)
        return;
    idle = ticks_now == seen ? idle + 1 : 0;
    seen = ticks_now;
    if (++computed >= MOST_SECONDS || idle >= IDLE_SECONDS)
        control_cut_off();
}

/* A forked child has no timers: each run sets its own. */
static void start_timer(void)
{
    const struct itimerval each_second = {{1, 0}, {1, 0}};
    const struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigset_t virtual_alarm;
    if (owner != getpid())
        computed = 0;
    owner = getpid();
    idle = 0;
    sigemptyset(&virtual_alarm);
    sigaddset(&virtual_alarm, SIGVTALRM);
    if (sigaction(SIGVTALRM, &action, NULL) == 0 && setitimer(ITIMER_VIRTUAL, &each_second, NULL) == 0)
        sigprocmask(SIG_UNBLOCK, &virtual_alarm, NULL);
}

void after_record_begins(void)
{
    after_record_tick = ticks_now + TICKS_AFTER_RECORD;
    ticks_wake_by(after_record_tick);
    if (running)
        start_timer();
}

void after_record_run(bool runs)
{
    running = runs;
    if (runs && after_record_tick != UINT64_MAX)
        start_timer();
}
