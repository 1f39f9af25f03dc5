/* The frames that a user steps in: those that were on a thread's stack when a motion began, told from all others by
 * their addresses. A frame of a generator or a coroutine stays itself while it is suspended, whatever runs meanwhile.
 *
 * Static memory of fixed size, as in search.h. An address is taken over by another frame only at that one's first
 * start, which is told here. */
#ifndef RETROSCOPE_MARKED_H
#define RETROSCOPE_MARKED_H

#include "frames.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frames further out than this many are not seen. */
#define MARKED_MOST 8192

/* In the low bits of an address as it goes over the wire. Frames that are not visible are no places to stop. */
#define MARKED_GENERATOR 1u
#define MARKED_VISIBLE 2u

/* What a run that collects has found: a line's tick, or 0 and where to look further back. */
typedef struct {
    uint64_t tick;
    uint32_t index;   /* of the frame; the number of frames: any visible line, for the stack begins here */
    bool beginning;   /* not a line of that frame is sought, but the one that called it */
} marked_result;

/* Replaces the frames by those of a MARK message (after its header); false if it is malformed. */
bool marked_set(const char *body, size_t size);

/* The running thread's frames, innermost first, or those of the marked ones that nothing has taken the place of. */
size_t marked_stack(uint64_t out[MARKED_MOST]);
size_t marked_left(uint64_t out[MARKED_MOST]);

/* `f` was entered for the first time, after the line event `tick`. */
void marked_enter(const frame *f, uint64_t tick);

/* A run that stops: whether the line event of `f` is of a sought frame, all generators inside of it being over. */
bool marked_is_here(const frame *f, uint32_t *index);

/* A run that collects: the line event `tick` of `f`; `is_shown`: it is a line that motion may stop at. */
void marked_note(const frame *f, uint64_t tick, bool is_shown);
marked_result marked_found(void);

#endif
