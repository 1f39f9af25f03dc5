#define _GNU_SOURCE
#include "abandoned.h"
#include "channel.h"
#include "control.h"
#include "stalled.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t watched = -1;
static volatile sig_atomic_t quit_request;
static pid_t owner; /* whose timer it is: a forked child has none */

/* A look has a time limit of its own, and no controller's socket. */
static void on_slice(int Py_UNUSED(signal_number))
{
    int saved = errno;
    if (watched >= 0 && !core_looking && channel_is_over(watched, (unsigned)quit_request))
        _exit(0);
    if (watched >= 0)
        stalled_look();
    errno = saved;
}

void abandoned_watch(int channel, unsigned quit)
{
    const struct itimerval slices = {{0, SLICE_MICROSECONDS}, {0, SLICE_MICROSECONDS}};
    const struct sigaction action = {.sa_handler = on_slice, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigset_t slice_signal;
    watched = channel;
    quit_request = (sig_atomic_t)quit;
    if (channel < 0 || owner == getpid())
        return;
    owner = getpid();
    sigemptyset(&slice_signal);
    sigaddset(&slice_signal, SIGPROF);
    if (sigaction(SIGPROF, &action, NULL) == 0 && setitimer(ITIMER_PROF, &slices, NULL) == 0)
        sigprocmask(SIG_UNBLOCK, &slice_signal, NULL);
}
