#define _GNU_SOURCE
/* Calls about the machine, the process and its threads, whose rules are their own. */
#include "async_exceptions.h"
#include "foreign_arguments.h"
#include "foreign_system.h"
#include "frames.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IO_URING_SETUP 425 /* on every machine */

/* System calls by their number, where the C library's function of that name takes the same arguments. */
static const struct { long number; const char *name; } by_number[] = {
    {SYS_getrandom, "getrandom"}, {SYS_gettid, "gettid"}, {SYS_getpid, "getpid"}, {SYS_getppid, "getppid"},
    {SYS_getuid, "getuid"}, {SYS_geteuid, "geteuid"}, {SYS_getgid, "getgid"}, {SYS_getegid, "getegid"},
    {SYS_clock_gettime, "clock_gettime"}, {SYS_clock_getres, "clock_getres"}, {SYS_gettimeofday, "gettimeofday"},
    {SYS_statx, "statx"}, {SYS_kill, "kill"}, {SYS_prctl, "prctl"}, {SYS_memfd_create, "memfd_create"},
    {SYS_sysinfo, "sysinfo"}, {SYS_getrusage, "getrusage"}, {SYS_times, "times"}, {SYS_uname, "uname"},
};

static bool waits_for_word(long operation)
{
    return (operation & FUTEX_CMD_MASK) == FUTEX_WAIT || (operation & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
}

/* Waits until another thread has changed a word in memory: that thread has to run meanwhile. In replay it has run when
 * the recorded answer is due. */
static long wait_for_word(unsigned function, const long *a)
{
    foreign_call call;
    foreign_read(&call, function, a);
    if (core_mode == MODE_REPLAY)
        return foreign_replay(&call, NULL, NULL);
    long result = foreign_wait(function, a);
    foreign_record(&call, result, NULL, 0);
    return result;
}

/* A ring of io_uring is memory that the kernel writes as it likes: there is none, on either side, and who asks for one
 * has another way. */
long foreign_syscall(unsigned function, const long *a)
{
    if (a[0] == IO_URING_SETUP) {
        errno = ENOSYS;
        return -1;
    }
    if (a[0] == SYS_futex && waits_for_word(a[2]))
        return wait_for_word(function, a);
    for (size_t i = 0; i < sizeof by_number / sizeof *by_number; i++)
        if (a[0] == by_number[i].number) {
            unsigned same = (unsigned)foreign_find(by_number[i].name);
            const long arguments[] = {a[1], a[2], a[3], a[4], a[5], 0};
            foreign_rule rule = foreign_rule_of(by_number[i].name);
            return rule ? rule(same, arguments) : foreign_cross(same, arguments);
        }
    return foreign_real[function](a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Page sizes and limits are the same wherever a replay can run at all. */
long foreign_sysconf(unsigned function, const long *a)
{
    int asked = (int)a[0];
    if (asked == _SC_NPROCESSORS_CONF || asked == _SC_NPROCESSORS_ONLN || asked == _SC_PHYS_PAGES ||
        asked == _SC_AVPHYS_PAGES)
        return foreign_cross(function, a);
    return foreign_real[function](a[0], 0, 0, 0, 0, 0);
}

/* The sixteen random bytes that the kernel gives each process: hash seeds are made of them. */
long foreign_auxiliary(unsigned function, const long *a)
{
    static char bytes[16];
    foreign_call call;
    if ((unsigned long)a[0] != AT_RANDOM)
        return foreign_real[function](a[0], 0, 0, 0, 0, 0);
    foreign_read(&call, function, a);
    if (core_mode == MODE_REPLAY) {
        const char *data;
        size_t size;
        foreign_replay(&call, &data, &size);
        if (data && size == sizeof bytes)
            memcpy(bytes, data, size);
    } else {
        memcpy(bytes, (const void *)foreign_real[function](a[0], 0, 0, 0, 0, 0), sizeof bytes);
        foreign_record(&call, 0, bytes, sizeof bytes);
    }
    return (long)bytes;
}

/* The name of a thread, what happens when the parent dies: in replay it is as it was said to be, but nothing is done. */
long foreign_prctl(unsigned function, const long *a)
{
    foreign_call call;
    foreign_read(&call, function, a);
    size_t size = a[0] == PR_GET_NAME ? 16 : a[0] == PR_GET_PDEATHSIG || a[0] == PR_GET_CHILD_SUBREAPER ? sizeof(int) : 0;
    if (size)
        call.out[call.outs++] = (struct foreign_out){(void *)a[1], size, OUT_ALWAYS, NULL};
    if (core_mode == MODE_REPLAY)
        return foreign_replay(&call, NULL, NULL);
    long result = foreign_run(function, a);
    foreign_record(&call, result, NULL, 0);
    return result;
}

/* Where a thread's stack lies is asked of the system on both sides: it is another there. A handle from the recording is
 * that of the only thread of a replay. */
long foreign_thread_attributes(unsigned function, const long *a)
{
    long thread = core_mode == MODE_REPLAY ? (long)pthread_self() : a[0];
    return foreign_real[function](thread, a[1], 0, 0, 0, 0);
}

/* Both sides do it: what it leaves is the interpreter's own affair. */
long foreign_async_exception(unsigned function, const long *a)
{
    long threads = foreign_real[function](a[0], a[1], 0, 0, 0, 0);
    if (frames_gil_held())
        async_exceptions_left();
    return threads;
}
