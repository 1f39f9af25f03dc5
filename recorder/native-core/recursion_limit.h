/* CPython 3.11 checks the recursion limit in the functions that compare and call, and leaves the check out in the
 * instructions that it makes for such comparisons and calls once code has run often. Replay traces, so it runs none of
 * these: it would raise RecursionError where the recorded program went on. Here such an instruction gets the room that it
 * would not have asked for. Later versions do not count C calls together with frames. */
#ifndef RETROSCOPE_RECURSION_LIMIT_H
#define RETROSCOPE_RECURSION_LIMIT_H

#include "core.h"

#if PY_VERSION_HEX < 0x030C0000

/* Replay: how many checks less were made, when it was recorded, by the call of C code that `caller`, a traced frame, has
 * just made and that now enters a Python function, 0 or 1. */
int recursion_limit_left_out(const struct _PyInterpreterFrame *caller);

/* Replay: a frame is entered. */
void recursion_limit_at_call(PyFrameObject *f);

/* Replay: an opcode event. Whether it was asked for here, so that nobody else should hear of it. */
int recursion_limit_at_opcode(void);

/* Replay: a frame is left. */
extern unsigned recursion_limit_lent;
void recursion_limit_take_back(void);

static inline void recursion_limit_at_return(void)
{
    if (recursion_limit_lent)
        recursion_limit_take_back();
}

#endif
#endif
