/* The observer's own picture of every thread's stack: which frames there are, and what they held when last seen. */
#ifndef RETROSCOPE_OBSERVED_FRAMES_H
#define RETROSCOPE_OBSERVED_FRAMES_H

#include "block.h"
#include "frames.h"

typedef struct {
    PyObject *object;     /* borrowed, may be gone: compared only */
    uint64_t fingerprint;
} seen_slot;

typedef struct observed_frame {
    const frame *at;
    PyObject *const *held; /* the frame's own slots; cells are looked into by frame_slot */
    code_facts *facts;
    uint64_t id;          /* tick of its first line, 0: not known (yet) */
    uint64_t last;        /* tick of its last line, 0: not known (yet) */
    int line;             /* of its last line, 0: not known */
    int32_t depth;        /* index on its thread's stack, -1: suspended */
    uint32_t thread;
    uint32_t block, number; /* its number in the block */
    uint32_t keyed;       /* the block that has all its variables */
    bool is_new;          /* began while observed: its first line is its id */
    bool is_fresh;        /* its variables were never seen */
    uint64_t changeable;  /* slots below 64 that hold what can change in place */
    seen_slot slots[];
} observed_frame;

/* Tick of the last line event that was written. */
extern uint64_t observed_tick;

/* Whether all code is observed in full; which monitoring tool is told of sites. */
void observed_begin(bool all_code, int tool, uint64_t tick);

/* The innermost observed frame of the running thread, NULL: none. */
observed_frame *observed_top(void);

/* Brings the picture in line with the running thread, in which `f` is the innermost frame: writes what has gone and
 * come. Returns its record; NULL only for NULL. */
observed_frame *observed_settle(const frame *f);

/* `f` begins, called from its caller. */
observed_frame *observed_enter(const frame *f);

/* The innermost frame returns or yields this (NULL: not observed in full). */
void observed_leave(bool is_yield, PyObject *value);

/* Writes which variables of the frame have changed; all of them the first time in a block. */
void observed_flush(observed_frame *f);

/* A new block begins: writes every thread's stack. */
void observed_stacks(void);

/* What is alive at the end of the last block. */
void observed_end(void);

/* A code object dies. */
void observed_code_dies(PyCodeObject *code);

code_facts *observed_facts(PyCodeObject *code);

#endif
