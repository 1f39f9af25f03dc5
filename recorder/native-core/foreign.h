/* The C library's functions as extensions call them: clocks, randomness, files, sockets.
 *
 * An extension's calls into the C library go through its own table of addresses (the GOT). After a library was loaded,
 * entries of functions that reach outside are exchanged for ours (foreign_patch.c), which write what came of the call
 * into the stream, or in replay take it from there. So an extension that nobody has listed replays as well, as far as
 * it reaches the world through the C library and in a thread of the program. Linux, x86-64 and arm64.
 *
 * A regular file that an extension opens is recorded with its content when it is opened; in replay it is a file in
 * memory, and reading, seeking and mapping it run as they are. Everything else about descriptors is recorded call by
 * call. */
#ifndef RETROSCOPE_FOREIGN_H
#define RETROSCOPE_FOREIGN_H

#include "boundary.h"

#include <stdbool.h>
#include <stddef.h>

typedef long (*foreign_function)(long, long, long, long, long, long);

#define FOREIGN_ARGUMENTS 6
#define FOREIGN_OUTS 24

enum foreign_flag {
    FOREIGN_INT = 1,         /* returns an int */
    FOREIGN_WAITS = 2,       /* may wait */
    FOREIGN_WAITS_READ = 4,  /* unless its descriptor, argument 0, is ready */
    FOREIGN_WAITS_WRITE = 8,
    FOREIGN_FD = 16,         /* the result is a new descriptor */
    FOREIGN_LOCAL = 32,      /* runs as it is on a regular file's descriptor, argument 0 */
    FOREIGN_ALWAYS = 128,    /* its rule holds outside the boundary too */
    FOREIGN_NAMED = 64,      /* only where it is looked up by its name: ctypes and cffi show its result to the program */
};

/* What of the arguments counts and what comes back through them; one letter each:
 * i an int or size   s a C string   p a pointer that is not looked at   b bytes going in, as many as the next argument
 * o bytes coming out, as many as the result   n the same, as many as the next argument   q …as the argument before
 * t a struct timespec coming out   T a timeval   S a stat   x a statx   r a rusage   U a utsname   8 eight bytes
 * 2 two ints   f an fd_set (NULL allowed, as for all of these)   P pollfds, in and out, as many as the next argument
 * E epoll_events coming out, as many as the result
 * k four bytes coming out   d doubles, as many as the next argument   R an rlimit   X a tms   Y a sysinfo   F a statfs
 * V a statvfs   c a termios
 * a a sockaddr coming out, whose length is behind the next argument   l that length, in and out
 * v an iovec filled by the result, as many parts as the next argument   w one going in   m a msghdr going in   M …out */
typedef struct {
    const char *name;
    const char *arguments;
    unsigned flags;
} foreign_description;

extern const foreign_description foreign_descriptions[];
extern const unsigned foreign_count;

/* Index in foreign_descriptions, or -1. */
int foreign_find(const char *name);

/* The C library's own functions, and ours that stand for them. */
#define FOREIGN_MOST 220
typedef long (*foreign_landing)(long, long, long, long, long, long, long);
extern foreign_function foreign_real[FOREIGN_MOST];
extern foreign_landing foreign_land[FOREIGN_MOST];

/* A call in progress, on its way to or from the stream. */
typedef struct {
    unsigned function;
    uint32_t digest;
    unsigned outs;
    struct foreign_out {
        void *at;
        size_t size;
        enum { OUT_ALWAYS, OUT_BY_RESULT, OUT_EVENTS, OUT_SHORT, OUT_LONG } how; /* SHORT, LONG: as `length` says */
        const void *length;
    } out[FOREIGN_OUTS];
} foreign_call;

/* Is the call to be recorded or replayed? Not while hidden, and only in a thread of the program. */
bool foreign_crosses(void);

/* Makes a call that does not cross. */
long foreign_pass(unsigned function, const long *arguments);

/* The outcome: writes it (recording), and with it `data` (NULL: none), which is beyond the outs; errno is kept. */
void foreign_record(const foreign_call *call, long result, const void *data, size_t size);

/* The same without what else is due before an outcome. */
void foreign_write(const foreign_call *call, long result, const void *data, size_t size);

/* The outcome from the stream: fills the outs, sets errno. `*data` and `*size` (NULL allowed) get what was recorded
 * beyond the outs, good until the next record is taken. */
long foreign_replay(const foreign_call *call, const char **data, size_t *size);

/* Mixes a number, a string, bytes into a digest. */
uint64_t foreign_mix(uint64_t digest, uint64_t value);
uint64_t foreign_mix_bytes(uint64_t digest, const void *data, size_t size);

/* Runs it (recording), letting other threads run meanwhile if it waits. */
long foreign_run(unsigned function, const long *arguments);

/* The same of a call that waits in any case. */
long foreign_wait(unsigned function, const long *arguments);

/* Any function of the table without a rule of its own. */
long foreign_cross(unsigned function, const long *arguments);

/* foreign_files.c: open, fopen and their like have rules of their own. NULL: none. */
typedef long (*foreign_rule)(unsigned function, const long *arguments);
foreign_rule foreign_rule_of(const char *name);

/* Has an extension started a thread of its own? */
extern bool foreign_threads;

/* Is the recording over for calls of extensions, as replay will have stopped before them? */
extern bool foreign_lost;

/* How many calls of extensions are in the record. */
extern uint64_t foreign_recorded;

/* A NOTE record (recording). */
void foreign_note(const char *text, size_t size);

/* One that says why replay stops here. */
void foreign_note_lost(const char *text, size_t size);

/* Is this the descriptor of a regular file that an extension has opened? */
bool foreign_is_local(int fd);
void foreign_make_local(int fd);

/* In replay: `fd` is a descriptor now, of an empty file in memory. */
void foreign_occupy(int fd);

/* Tells the stream what the functions are called; once, before the first library is patched. -1: exception set. */
int foreign_define(void);

/* Exchanges the entries of every library that was loaded since the last call; `pass`: leaves these as they are. */
void foreign_patch_loaded(bool pass);

/* In replay: an extension does what a replay cannot do. Stops as the seal does. */
_Noreturn void foreign_cannot(const char *what);

#endif
