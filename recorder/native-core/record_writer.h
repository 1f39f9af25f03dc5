/* Writing records into the ring. Their layout: docs/architecture.md, "Seam 2". */
#ifndef RETROSCOPE_RECORD_WRITER_H
#define RETROSCOPE_RECORD_WRITER_H

#include "core.h"

#include <stdbool.h>
#include <string.h>

enum record_kind {
    KIND_RESULT, KIND_RAISED, KIND_DEFINE, KIND_GC, KIND_CALLBACK, KIND_CALLED_BACK, KIND_START,
    KIND_SWITCH, KIND_SIGNAL, KIND_END, KIND_SOURCE, KIND_NOTE, KIND_CLOCK, KIND_ADDRESS, KIND_FORK,
    KIND_MEMORY,
};

#define FLAG_OUTPUT 1
#define FLAG_UNTRACED 4 /* of a CALLBACK: it ran where the interpreter traces nothing (audit hooks) */
#define FLAG_LOST 2 /* of a NOTE: what follows cannot be replayed */
#define FLAG_SILENT 2     /* since the record before, garbage was freed that nobody saw (silent.h) */
#define FLAG_SILENT_OLD 4 /* of the older generations too */
#define RECORD_HEADER_BYTES 12

/* A record being written: in the ring itself while it is small, else on the heap. */
typedef struct {
    char *start, *p, *end;
    char *heap;
    int plain;             /* no pickles: a copy of an object of the program would be another object */
    int failed;            /* no memory, or a value that cannot be encoded (exception set) */
} record_writer;

/* Attaches the ring behind `fd` as this process's producer: 0, or -1 with errno. */
int record_attach(int fd);

/* Before a fork: asks for a ring for the child. In the parent after it. In the child: its own stream begins, in its own
 * ring; 0, or -1: there is none, and nothing is attached any more. */
void record_before_fork(void);
void record_after_fork(void);
int record_in_child(void);

/* What the drain should know of the end of this process: it exits with `status`; it calls exec, or did in vain. */
void record_exits(int status);
void record_calls_exec(int on);

/* The name of the door, "" when this process is not recorded; its number in the trace. */
const char *record_door(void);
int record_process(void);

/* Tells the drain that the process `pid` will ask for a ring. */
void record_saw_start(int pid);

/* Tells the drain how the process `pid` ended, if it can be told: `status` as of waitpid. */
void record_saw_end(int pid, int status);

/* Is anything still being recorded here? (The consumer may have gone.) */
int record_is_on(void);

/* Begins a record; then any number of write_* and encode_* calls; record_end publishes it.
 * record_end returns 0, or -1 when the value could not be encoded (exception set; nothing published). */
void record_begin(record_writer *w, unsigned callable, unsigned kind, unsigned flags, uint32_t digest);
int record_end(record_writer *w);

/* Moves the record to where `n` more bytes fit: 0, or -1 with an exception. */
int record_grow(record_writer *w, size_t n);

/* Whether `n` bytes fit at w->p, which makes them fit if it can be done. */
static inline int record_room(record_writer *w, size_t n)
{
    if (w->failed)
        return 0;
    return (size_t)(w->end - w->p) >= n || record_grow(w, n) == 0;
}

static inline void write_bytes(record_writer *w, const void *data, size_t n)
{
    if (record_room(w, n)) {
        memcpy(w->p, data, n);
        w->p += n;
    }
}

static inline void write_count(record_writer *w, uint32_t n)
{
    write_bytes(w, &n, 4);
}

/* Ends the stream in good order: the producer closed it. */
void record_close(void);

/* A record is being written. */
extern bool record_is_open;

/* Flags that the next record gets besides its own. */
extern unsigned record_flags_next;

/* Number of records written. */
extern uint64_t record_count;

#endif
