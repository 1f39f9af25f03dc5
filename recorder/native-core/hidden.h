/* Hidden code: our own Python code, and C code that runs it, in a thread of the program (core.h: core_hide). */
#ifndef RETROSCOPE_HIDDEN_H
#define RETROSCOPE_HIDDEN_H

#include "core.h"
#include "frames.h"

/* How deep in hidden code a thread was. */
typedef struct {
    int depth;
    bool audible;
    const frame *shown, *own;
} hidden_state;

/* core_hide() and core_show() around Python code that the program itself has called: its audit hooks hear of it. */
void hidden_begin_audible(void);
void hidden_end_audible(void);

/* From hidden code back into the program, which finds its own frames on the stack and none of ours; and back. */
void hidden_pause(hidden_state *state);
void hidden_resume(const hidden_state *state);

/* Takes our own code out of the traceback of the current exception. */
void hidden_clean_traceback(void);

#endif
