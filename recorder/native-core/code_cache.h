/* CPython 3.11: what is asked of code objects at each entry of a function, read from the bytecode once. Where there is no
 * loop, entries are enough to count (count.h). */
#ifndef RETROSCOPE_CODE_CACHE_H
#define RETROSCOPE_CODE_CACHE_H

#include "core.h"

#include <stdbool.h>

#if PY_VERSION_HEX < 0x030C0000

/* Does the code jump back to where it was? What waits for another generator or coroutine is no loop: it is left, and entered
 * again. A loop that is one instruction, as `while True: pass` is, spins: it makes no line events. */
enum code_loop { CODE_RUNS_ONCE, CODE_LOOPS, CODE_SPINS };
enum code_loop code_loops(PyCodeObject *code);

/* May it run untraced while all functions are entered through a hook (entries.h)? */
bool code_may_run_untraced(PyCodeObject *code);

/* Is the whole function one line that makes one line event, when it is entered? And may it run untraced? */
bool code_is_one_tick(PyCodeObject *code);

/* How many values are on the frame's stack before each of its instructions (stack_depth.h). */
const int16_t *code_stack_depths(PyCodeObject *code);

#endif
#endif
