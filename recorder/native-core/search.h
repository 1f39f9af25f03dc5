/* The search of a RUN: which line events and raises are matches, and what was found.
 *
 * Everything here lives in static memory of fixed size: a run that searches must leave the process's memory
 * exactly as one that does not.
 */
#ifndef RETROSCOPE_SEARCH_H
#define RETROSCOPE_SEARCH_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "frames.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum search_want {
    WANT_BREAKPOINT = 1,
    WANT_DEPTH = 2,      /* any line with depth <= max_depth */
    WANT_LINE = 4,       /* any line */
    WANT_RAISE = 8,
    WANT_WATCH = 16,          /* watched memory has changed since the line event before (watch.h) */
    WANT_MARKED = 32,         /* a line of the marked frames (marked.h) */
    WANT_VISIBLE = 0x100,     /* lines and raises of the user's own code only; breakpoints are exempt */
    WANT_FORKS = 0x400,       /* stop where the program forks (forks.h) */
    WANT_FIRST = 0x800,       /* with WANT_DEPTH: only the first lines of frames, and of the depth max_depth only */
    WANT_TOTALS = 0x1000,     /* nothing on the way: what is known to be one tick may run untraced (entries.h) */
    WANT_RAISE_HERE = 0x200,  /* also a raise by the line at the tick where the run begins */
};

enum search_action { ACTION_STOP, ACTION_COLLECT };

typedef struct {
    uint64_t until;
    uint32_t want, max_depth, action, thread;
} search_request;

/* As it goes over the wire. `kind` is the one bit of search_want that matched. `detail`: of WANT_BREAKPOINT its id;
 * of WANT_DEPTH whether this is the first line of its frame; of WANT_WATCH the thread that wrote, 0 for several, << 2,
 * and what was reborn (watch.h); of WANT_MARKED the frame's index; else 0. */
typedef struct {
    uint64_t tick;
    uint32_t kind, detail, depth, thread;
} search_match;

#define SEARCH_KEPT 64

/* Whether the beginning of every frame must be told to search_enter. */
extern bool search_starts;

/* The request of the RUN in progress. */
extern search_request search_current;

/* Begins a run; forgets what the last one found. */
void search_begin(const search_request *request);

/* Whether every line event must come to search_line (else none need). */
bool search_every_line(void);

/* Another thread is about to run: what this one has written is its own. */
void search_before_switch(void);

/* Whether only a watch is interested in the line event ticks_now, and the memory is what it was: the rule, in a watch
 * over millions of lines. */
bool search_passes(void);

/* The line event ticks_now, at the running frame: true to stop here. */
bool search_line(PyCodeObject *code, int line);

/* The line ticks_now raised this exception in frame `f`: true to stop here. */
bool search_raise(const frame *f, PyObject *exception);

/* `f` was entered for the first time; its first line event is to come. */
void search_enter(const frame *f);

/* Replaces the breakpoints by those of a BREAKPOINTS message (after its header); false if it is malformed or
 * does not fit, nothing is changed then. */
bool search_set_breakpoints(const char *body, size_t size);

/* The latest matches, oldest first, at most SEARCH_KEPT, and how many there were in all. After these, of a run that
 * collects marked frames, one more that says what became of them: `tick` 0 if nothing was found, `detail` twice the
 * index of the frame to look for further back, plus 1 if its beginning is sought. */
size_t search_found(search_match out[SEARCH_KEPT + 1], uint64_t *all);

#endif
