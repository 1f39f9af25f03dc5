#define _GNU_SOURCE
#include "surroundings.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_debugging(void)
{
    const char *value = getenv("SCOPE_DEBUG");
    return value && strcmp(value, "1") == 0;
}

/* The program's own input and output are in the record; this process has none. */
static int close_standard_streams(void)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0)
        return -1;
    int last = is_debugging() ? 0 : 2;
    for (int fd = 0; fd <= last; fd++) {
        if (null != fd && dup2(null, fd) < 0)
            return -1;
    }
    if (null > 2)
        close(null);
    return 0;
}

/* Signals are in the record too. What is left is the program's own death. */
static int set_signals(void (*died)(int))
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static char stack[1 << 20];
    sigset_t all;
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = died, .sa_flags = SA_NODEFER | SA_ONSTACK};
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    if (sigaltstack(&alternative, NULL) < 0)
        return -1;
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        sigdelset(&all, deadly[i]);
        if (sigaction(deadly[i], &action, NULL) < 0)
            return -1;
    }
    return sigprocmask(SIG_SETMASK, &all, NULL);
}

int surroundings_leave(void (*died)(int signal_number))
{
    return close_standard_streams() < 0 || set_signals(died) < 0 ? -1 : 0;
}
