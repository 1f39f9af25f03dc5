/* Which functions of the C library reach outside, and how their arguments are read. */
#include "foreign.h"

#include <stdlib.h>
#include <string.h>

#define WAITS_READ (FOREIGN_INT | FOREIGN_WAITS_READ)
#define WAITS_WRITE (FOREIGN_INT | FOREIGN_WAITS_WRITE)
#define NEW_FD (FOREIGN_INT | FOREIGN_FD)
#define LOCAL FOREIGN_LOCAL

/* Sorted by name. */
const foreign_description foreign_descriptions[] = {
    {"PyThreadState_SetAsyncExc", "ip", 0}, {"PyThread_get_thread_ident", "", 0},
    {"PyThread_get_thread_native_id", "", 0},
    {"_ZNSt13random_device9_M_getvalEv", "p", FOREIGN_INT}, {"__fxstat", "iiS", FOREIGN_INT},
    {"__fxstat64", "iiS", FOREIGN_INT}, {"__lxstat", "isS", FOREIGN_INT}, {"__lxstat64", "isS", FOREIGN_INT},
    {"__xstat", "isS", FOREIGN_INT}, {"__xstat64", "isS", FOREIGN_INT},
    {"accept", "ial", NEW_FD | FOREIGN_WAITS_READ}, {"accept4", "iali", NEW_FD | FOREIGN_WAITS_READ},
    {"access", "si", FOREIGN_INT}, {"arc4random", "", FOREIGN_INT}, {"arc4random_buf", "ni", 0},
    {"arc4random_uniform", "i", FOREIGN_INT}, {"bind", "ipi", FOREIGN_INT}, {"chdir", "s", FOREIGN_INT},
    {"chmod", "si", FOREIGN_INT}, {"chown", "sii", FOREIGN_INT}, {"clock", "", 0},
    {"clock_getres", "it", FOREIGN_INT}, {"clock_gettime", "it", FOREIGN_INT},
    {"clock_nanosleep", "iipp", FOREIGN_INT | FOREIGN_WAITS}, {"connect", "ipi", FOREIGN_INT | FOREIGN_WAITS},
    {"dlsym", "ps", 0}, {"dup", "i", NEW_FD}, {"epoll_create", "i", NEW_FD}, {"epoll_create1", "i", NEW_FD},
    {"epoll_ctl", "iiip", FOREIGN_INT}, {"epoll_pwait", "iEiip", FOREIGN_INT | FOREIGN_WAITS},
    {"epoll_wait", "iEii", FOREIGN_INT | FOREIGN_WAITS}, {"eventfd", "ii", NEW_FD},
    {"faccessat", "isii", FOREIGN_INT}, {"fallocate", "iiii", FOREIGN_INT | LOCAL},
    {"fallocate64", "iiii", FOREIGN_INT | LOCAL}, {"fchmod", "ii", FOREIGN_INT}, {"fchown", "iii", FOREIGN_INT},
    {"fcntl", "iip", FOREIGN_INT | LOCAL}, {"fcntl64", "iip", FOREIGN_INT | LOCAL}, {"fdatasync", "i", FOREIGN_INT},
    {"fdopen", "is", 0}, {"fopen", "ss", 0}, {"fopen64", "ss", 0}, {"fork", "", FOREIGN_INT},
    {"freeaddrinfo", "p", 0}, {"fstat", "iS", FOREIGN_INT}, {"fstat64", "iS", FOREIGN_INT},
    {"fstatat", "isSi", FOREIGN_INT}, {"fstatat64", "isSi", FOREIGN_INT}, {"fstatfs", "iF", FOREIGN_INT},
    {"fstatfs64", "iF", FOREIGN_INT}, {"fstatvfs", "iV", FOREIGN_INT}, {"fstatvfs64", "iV", FOREIGN_INT},
    {"fsync", "i", FOREIGN_INT}, {"ftruncate", "ii", FOREIGN_INT | LOCAL}, {"ftruncate64", "ii", FOREIGN_INT | LOCAL},
    {"futimens", "ip", FOREIGN_INT}, {"get_nprocs", "", FOREIGN_INT}, {"get_nprocs_conf", "", FOREIGN_INT},
    {"getaddrinfo", "sspp", FOREIGN_INT | FOREIGN_WAITS}, {"getauxval", "i", 0}, {"getcwd", "pi", 0},
    {"getdomainname", "ni", FOREIGN_INT}, {"getegid", "", FOREIGN_INT}, {"getentropy", "ni", FOREIGN_INT},
    {"geteuid", "", FOREIGN_INT}, {"getgid", "", FOREIGN_INT}, {"gethostid", "", 0},
    {"gethostname", "ni", FOREIGN_INT}, {"getloadavg", "di", FOREIGN_INT}, {"getpeername", "ial", FOREIGN_INT},
    {"getpgid", "i", FOREIGN_INT}, {"getpgrp", "", FOREIGN_INT}, {"getpid", "", FOREIGN_INT},
    {"getppid", "", FOREIGN_INT}, {"getpriority", "ii", FOREIGN_INT}, {"getpwnam", "s", 0},
    {"getpwnam_r", "spppp", FOREIGN_INT}, {"getpwuid", "i", 0}, {"getpwuid_r", "ipppp", FOREIGN_INT},
    {"getrandom", "oii", 0}, {"getrlimit", "iR", FOREIGN_INT}, {"getrlimit64", "iR", FOREIGN_INT},
    {"getrusage", "ir", FOREIGN_INT}, {"getsid", "i", FOREIGN_INT}, {"getsockname", "ial", FOREIGN_INT},
    {"getsockopt", "iiial", FOREIGN_INT}, {"gettid", "", FOREIGN_INT}, {"gettimeofday", "Tp", FOREIGN_INT},
    {"getuid", "", FOREIGN_INT}, {"inotify_add_watch", "isi", FOREIGN_INT}, {"inotify_init", "", NEW_FD},
    {"inotify_init1", "i", NEW_FD}, {"inotify_rm_watch", "ii", FOREIGN_INT}, {"ioctl", "iip", FOREIGN_INT},
    {"isatty", "i", FOREIGN_INT}, {"kill", "ii", FOREIGN_INT}, {"link", "ss", FOREIGN_INT},
    {"listen", "ii", FOREIGN_INT}, {"lseek", "iii", LOCAL}, {"lseek64", "iii", LOCAL}, {"lstat", "sS", FOREIGN_INT},
    {"lstat64", "sS", FOREIGN_INT}, {"memfd_create", "si", NEW_FD}, {"mkdir", "si", FOREIGN_INT},
    {"mkstemp", "p", NEW_FD}, {"mkstemp64", "p", NEW_FD}, {"nanosleep", "pt", FOREIGN_INT | FOREIGN_WAITS},
    {"nice", "i", FOREIGN_INT}, {"open", "sii", NEW_FD}, {"open64", "sii", NEW_FD}, {"openat", "isii", NEW_FD},
    {"openat64", "isii", NEW_FD}, {"pipe", "2", FOREIGN_INT}, {"pipe2", "2i", FOREIGN_INT},
    {"poll", "Pii", FOREIGN_INT | FOREIGN_WAITS}, {"popen", "ss", 0}, {"posix_fallocate", "iii", FOREIGN_INT | LOCAL},
    {"posix_fallocate64", "iii", FOREIGN_INT | LOCAL}, {"posix_spawn", "kspppp", FOREIGN_INT},
    {"posix_spawnp", "kspppp", FOREIGN_INT}, {"ppoll", "Pipp", FOREIGN_INT | FOREIGN_WAITS},
    {"prctl", "i", FOREIGN_INT}, {"pread", "ioii", LOCAL}, {"pread64", "ioii", LOCAL}, {"preadv", "ivii", LOCAL},
    {"preadv64", "ivii", LOCAL}, {"pselect", "ifffpp", FOREIGN_INT | FOREIGN_WAITS},
    {"pthread_cancel", "p", FOREIGN_INT}, {"pthread_cond_broadcast", "p", FOREIGN_INT | FOREIGN_ALWAYS},
    {"pthread_cond_signal", "p", FOREIGN_INT | FOREIGN_ALWAYS},
    {"pthread_cond_wait", "pp", FOREIGN_INT | FOREIGN_ALWAYS}, {"pthread_create", "pppp", FOREIGN_INT},
    {"pthread_detach", "p", FOREIGN_INT}, {"pthread_exit", "p", FOREIGN_ALWAYS},
    {"pthread_getaffinity_np", "piq", FOREIGN_INT},
    {"pthread_getattr_np", "pp", FOREIGN_INT}, {"pthread_getcpuclockid", "pk", FOREIGN_INT},
    {"pthread_getname_np", "pni", FOREIGN_INT}, {"pthread_getschedparam", "pkk", FOREIGN_INT},
    {"pthread_join", "pp", FOREIGN_INT | FOREIGN_WAITS | FOREIGN_ALWAYS}, {"pthread_kill", "pi", FOREIGN_INT},
    {"pthread_mutex_lock", "p", FOREIGN_INT | FOREIGN_ALWAYS},
    {"pthread_mutex_unlock", "p", FOREIGN_INT | FOREIGN_ALWAYS}, {"pthread_self", "", FOREIGN_NAMED},
    {"pthread_setaffinity_np", "pip", FOREIGN_INT}, {"pthread_setname_np", "ps", FOREIGN_INT},
    {"pthread_setschedparam", "pip", FOREIGN_INT}, {"pthread_setschedprio", "pi", FOREIGN_INT},
    {"pwrite", "ibii", LOCAL}, {"pwrite64", "ibii", LOCAL}, {"read", "ioi", LOCAL | FOREIGN_WAITS_READ},
    {"readlink", "soi", 0}, {"readv", "ivi", LOCAL | FOREIGN_WAITS_READ}, {"realpath", "sp", 0},
    {"recv", "ioii", FOREIGN_WAITS_READ}, {"recvfrom", "ioiial", FOREIGN_WAITS_READ},
    {"recvmsg", "iMi", FOREIGN_WAITS_READ}, {"remove", "s", FOREIGN_INT}, {"rename", "ss", FOREIGN_INT},
    {"rmdir", "s", FOREIGN_INT}, {"sched_getaffinity", "iiq", FOREIGN_INT}, {"sched_getcpu", "", FOREIGN_INT},
    {"sched_setaffinity", "iip", FOREIGN_INT}, {"select", "ifffT", FOREIGN_INT | FOREIGN_WAITS},
    {"sem_getvalue", "pl", FOREIGN_INT}, {"sem_post", "p", FOREIGN_INT},
    {"sem_timedwait", "pp", FOREIGN_INT | FOREIGN_WAITS}, {"sem_trywait", "p", FOREIGN_INT},
    {"sem_wait", "p", FOREIGN_INT | FOREIGN_WAITS}, {"send", "ibii", FOREIGN_WAITS_WRITE},
    {"sendmsg", "imi", FOREIGN_WAITS_WRITE}, {"sendto", "ibiipi", FOREIGN_WAITS_WRITE},
    {"setpgid", "ii", FOREIGN_INT}, {"setpriority", "iii", FOREIGN_INT}, {"setrlimit", "ip", FOREIGN_INT},
    {"setrlimit64", "ip", FOREIGN_INT}, {"setsid", "", FOREIGN_INT}, {"setsockopt", "iiipi", FOREIGN_INT},
    {"shutdown", "ii", FOREIGN_INT}, {"sigaction", "ipp", FOREIGN_INT | FOREIGN_ALWAYS},
    {"signal", "ip", FOREIGN_ALWAYS}, {"signalfd", "ipi", NEW_FD}, {"sleep", "i", FOREIGN_INT | FOREIGN_WAITS},
    {"socket", "iii", NEW_FD}, {"socketpair", "iii2", FOREIGN_INT}, {"stat", "sS", FOREIGN_INT},
    {"stat64", "sS", FOREIGN_INT}, {"statfs", "sF", FOREIGN_INT}, {"statfs64", "sF", FOREIGN_INT},
    {"statvfs", "sV", FOREIGN_INT}, {"statvfs64", "sV", FOREIGN_INT}, {"statx", "isiix", FOREIGN_INT},
    {"symlink", "ss", FOREIGN_INT}, {"syscall", "i", 0}, {"sysconf", "i", 0}, {"sysinfo", "Y", FOREIGN_INT},
    {"system", "s", FOREIGN_INT | FOREIGN_WAITS}, {"tcgetattr", "ic", FOREIGN_INT}, {"tcsetattr", "iip", FOREIGN_INT},
    {"time", "8", 0}, {"timerfd_create", "ii", NEW_FD}, {"timerfd_settime", "iipp", FOREIGN_INT}, {"times", "X", 0},
    {"truncate", "si", FOREIGN_INT}, {"umask", "i", FOREIGN_INT}, {"uname", "U", FOREIGN_INT},
    {"unlink", "s", FOREIGN_INT}, {"unlinkat", "isi", FOREIGN_INT}, {"usleep", "i", FOREIGN_INT | FOREIGN_WAITS},
    {"utime", "sp", FOREIGN_INT}, {"utimensat", "ispi", FOREIGN_INT}, {"utimes", "sp", FOREIGN_INT},
    {"waitpid", "iki", FOREIGN_INT | FOREIGN_WAITS}, {"write", "ibi", LOCAL | FOREIGN_WAITS_WRITE},
    {"writev", "iwi", LOCAL | FOREIGN_WAITS_WRITE},
};

_Static_assert(sizeof foreign_descriptions / sizeof *foreign_descriptions <= FOREIGN_MOST, "each has its landing");
const unsigned foreign_count = sizeof foreign_descriptions / sizeof *foreign_descriptions;

static int by_name(const void *name, const void *description)
{
    return strcmp(name, ((const foreign_description *)description)->name);
}

int foreign_find(const char *name)
{
    const foreign_description *found = bsearch(name, foreign_descriptions, foreign_count, sizeof *found, by_name);
    return found ? (int)(found - foreign_descriptions) : -1;
}
