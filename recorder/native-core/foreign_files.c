#define _GNU_SOURCE
/* Files that an extension opens, and the calls whose rules are their own.
 *
 * A regular file is recorded with its content as it is when it is opened; in replay it is a file in memory under the
 * same descriptor, so that whatever the extension does with it runs as it did. */
#include "control.h"
#include "foreign_arguments.h"
#include "foreign_locals.h"
#include "foreign_names.h"
#include "foreign_signals.h"
#include "foreign_system.h"
#include "foreign_workers.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST (1ull << 30) /* bytes of a file that are recorded */

/* --- contents --------------------------------------------------------------------------------------------- */

typedef struct {
    char *data; /* NULL: not a regular file */
    size_t size;
} content;

/* What a just opened regular file holds; position and descriptor stay as they are. A file that was opened for writing
 * only is read by another descriptor. */
static content content_of(int fd)
{
    struct stat found;
    content c = {NULL, 0};
    if (fstat(fd, &found) < 0 || !S_ISREG(found.st_mode))
        return c;
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? open(path, O_RDONLY | O_CLOEXEC) : fd;
    size_t room = found.st_size > 0 ? (size_t)found.st_size + 1 : 4096; /* files of /proc say 0 */
    c.data = malloc(room);
    ssize_t n = 0;
    while (c.data && reader >= 0 && c.size < LARGEST && (n = pread(reader, c.data + c.size, room - c.size, (off_t)c.size)) > 0) {
        c.size += (size_t)n;
        if (c.size == room) {
            char *more = realloc(c.data, room * 2);
            if (!more)
                break;
            c.data = more;
            room *= 2;
        }
    }
    if (reader != fd && reader >= 0)
        close(reader);
    return c;
}

/* In replay: `fd` becomes a file in memory with this content. False when there is no memory. */
static bool put_content(int fd, const char *data, size_t size)
{
    int made = memfd_create("file", MFD_CLOEXEC);
    bool good = made >= 0;
    while (good && size) {
        ssize_t n = write(made, data, size);
        good = n > 0;
        data += good ? n : 0;
        size -= good ? (size_t)n : 0;
    }
    if (good)
        lseek(made, 0, SEEK_SET);
    if (good && made != fd) {
        good = dup2(made, fd) == fd;
        close(made);
    }
    return good;
}

/* Writes the outcome of a call that made `fd` (`own`), or made a stream over it, with the content. */
static void record_file(foreign_call *call, int fd, off_t position, bool own)
{
    int error = errno;
    content c = fd >= 0 ? content_of(fd) : (content){NULL, 0};
    char *whole = c.data ? malloc(c.size + 8) : NULL;
    if (whole) {
        memcpy(whole, &position, 8);
        memcpy(whole + 8, c.data, c.size);
        if (own)
            foreign_make_local(fd);
    }
    errno = error;
    foreign_record(call, fd, whole, c.size + 8);
    free(whole);
    free(c.data);
    errno = error;
}

/* The descriptor, or -1 with errno. */
static int replay_file(foreign_call *call, bool own, bool *regular)
{
    const char *data;
    size_t size;
    int fd = (int)foreign_replay(call, &data, &size), error = errno;
    *regular = data && size >= 8;
    if (fd < 0)
        return fd;
    if (!data && own)
        foreign_occupy(fd);
    if (*regular) {
        int64_t position;
        memcpy(&position, data, 8);
        if (!put_content(fd, data + 8, size - 8))
            control_fatal("A file that the program has read cannot be rebuilt: no memory for %zu bytes.", size);
        lseek(fd, position, SEEK_SET);
        if (own)
            foreign_make_local(fd);
    }
    errno = error;
    return fd;
}

/* --- open ------------------------------------------------------------------------------------------------- */

static long rule_open(unsigned function, const long *a)
{
    foreign_call call;
    bool at = strncmp(foreign_descriptions[function].name, "openat", 6) == 0;
    int flags = (int)a[at + 1];
    long digested[FOREIGN_ARGUMENTS] = {a[0], a[1], a[2], a[3], 0, 0};
    if (!(flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))))
        digested[at + 2] = 0; /* there is no third argument */
    foreign_read(&call, function, digested);
    if (core_mode == MODE_REPLAY) {
        bool regular;
        return replay_file(&call, true, &regular);
    }
    int fd = (int)foreign_real[function](a[0], a[1], a[2], a[3], 0, 0);
    record_file(&call, fd, 0, true);
    return fd;
}

/* The template becomes the name: recorded after the descriptor, as what the call fills. */
static long rule_temporary(unsigned function, const long *a)
{
    foreign_call call;
    foreign_read(&call, function, a);
    call.out[call.outs++] = (struct foreign_out){(void *)a[0], strlen((const char *)a[0]), OUT_ALWAYS, NULL};
    if (core_mode == MODE_REPLAY) {
        bool regular;
        return replay_file(&call, true, &regular);
    }
    int fd = (int)foreign_real[function](a[0], 0, 0, 0, 0, 0);
    record_file(&call, fd, 0, true);
    return fd;
}

static FILE *replay_stream(foreign_call *call, const char *mode, bool own)
{
    bool regular;
    int fd = replay_file(call, own, &regular);
    if (fd >= 0 && !regular)
        foreign_cannot("uses something that is not a regular file through the C library's streams");
    return fd >= 0 ? fdopen(fd, mode) : NULL;
}

static long rule_fopen(unsigned function, const long *a)
{
    foreign_call call;
    const char *mode = (const char *)a[1];
    foreign_read(&call, function, a);
    if (core_mode == MODE_REPLAY)
        return (long)replay_stream(&call, mode, true);
    FILE *file = (FILE *)foreign_real[function](a[0], a[1], 0, 0, 0, 0);
    record_file(&call, file ? fileno(file) : -1, file && mode[0] == 'a' ? ftello(file) : 0, true);
    return (long)file;
}

/* The descriptor may be a duplicate of one of Python's own, of which replay has nothing but the number. */
static long rule_fdopen(unsigned function, const long *a)
{
    foreign_call call;
    int fd = (int)a[0];
    if (foreign_is_local(fd))
        return foreign_real[function](a[0], a[1], 0, 0, 0, 0);
    foreign_read(&call, function, a);
    if (core_mode == MODE_REPLAY)
        return (long)replay_stream(&call, (const char *)a[1], false);
    off_t position = lseek(fd, 0, SEEK_CUR);
    FILE *file = (FILE *)foreign_real[function](a[0], a[1], 0, 0, 0, 0);
    record_file(&call, file ? fd : -1, position < 0 ? 0 : position, false);
    return (long)file;
}

/* --- others ----------------------------------------------------------------------------------------------- */

/* The library whose code a thread will run. A std::thread begins in the C++ library, and its argument is an object of a
 * class of its own, of the library that made it. */
static bool library_of_thread(const long *a, Dl_info *place)
{
    bool found = dladdr((void *)a[2], place) && place->dli_fname;
    Dl_info maker;
    if (found && strstr(place->dli_fname, "/libstdc++.so") && dladdr(*(void **)a[3], &maker) && maker.dli_fname)
        *place = maker;
    return found;
}

/* What a thread of an extension does is in nobody's order. The recording goes on, and says where replay will stop. */
static long rule_thread(unsigned function, const long *a)
{
    Dl_info place;
    char text[400];
    bool found = library_of_thread(a, &place);
    if (found && foreign_worker_starts(place.dli_fname, a))
        return 0;
    const char *slash = found ? strrchr(place.dli_fname, '/') : NULL;
    snprintf(text, sizeof text, "starts a thread of its own (%.200s)", slash ? slash + 1 : "an unknown library");
    if (core_mode == MODE_REPLAY)
        foreign_cannot(text);
    if (!foreign_threads) {
        char note[500];
        int n = snprintf(note, sizeof note, "an extension %s: replay stops at that place", text);
        foreign_note(note, (size_t)n);
    }
    foreign_threads = true;
    return foreign_real[function](a[0], a[1], a[2], a[3], 0, 0);
}

/* The child belongs to the extension: it runs another program. */
static long rule_fork(unsigned function, const long *a)
{
    if (core_mode == MODE_REPLAY)
        foreign_cannot("starts a process of its own");
    static const char text[] = "an extension starts a process of its own: replay stops at that place";
    foreign_note(text, sizeof text - 1);
    foreign_lost = true; /* its handler of SIGCHLD would write anywhere into what is being recorded */
    return foreign_real[function](a[0], a[1], 0, 0, 0, 0);
}

/* Functions that are looked up by name instead of linked. */
static long rule_dlsym(unsigned function, const long *a)
{
    long found = foreign_real[function](a[0], a[1], 0, 0, 0, 0);
    const char *name = (const char *)a[1];
    int known = name ? foreign_find(name) : -1;
    if (known >= 0)
        return (void *)found == (void *)foreign_real[known] ? (long)(void *)foreign_land[known] : found;
    void *real, *ours = name ? foreign_locals_exchange(name, &real) : NULL;
    return ours && (void *)found == real ? (long)ours : found;
}

foreign_rule foreign_rule_of(const char *name)
{
    static const struct { const char *name; foreign_rule rule; } rules[] = {
        {"open", rule_open}, {"open64", rule_open}, {"openat", rule_open}, {"openat64", rule_open},
        {"fopen", rule_fopen}, {"fopen64", rule_fopen}, {"fdopen", rule_fdopen},
        {"syscall", foreign_syscall}, {"sysconf", foreign_sysconf}, {"getauxval", foreign_auxiliary}, {"prctl", foreign_prctl},
        {"pthread_getattr_np", foreign_thread_attributes}, {"dlsym", rule_dlsym}, {"pthread_create", rule_thread},
        {"pthread_cond_wait", foreign_worker_wait}, {"pthread_cond_signal", foreign_worker_signal},
        {"pthread_cond_broadcast", foreign_worker_broadcast}, {"pthread_mutex_unlock", foreign_worker_unlock},
        {"pthread_mutex_lock", foreign_worker_lock}, {"pthread_join", foreign_worker_join}, {"pthread_exit", foreign_worker_exit},
        {"fork", rule_fork}, {"popen", rule_fork},
        {"sigaction", foreign_sigaction}, {"signal", foreign_signal},
        {"PyThreadState_SetAsyncExc", foreign_async_exception},
        {"mkstemp", rule_temporary}, {"mkstemp64", rule_temporary}, {"getcwd", foreign_getcwd},
        {"getpwuid_r", foreign_account}, {"getpwnam_r", foreign_account}, {"getpwuid", foreign_account_shared},
        {"getpwnam", foreign_account_shared}, {"realpath", foreign_realpath}, {"getaddrinfo", foreign_getaddrinfo}, {"freeaddrinfo", foreign_freeaddrinfo},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].name, name) == 0)
            return rules[i].rule;
    return NULL;
}
