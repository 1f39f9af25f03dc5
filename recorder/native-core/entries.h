/* CPython 3.11, recording: function entries are counted without tracing. The interpreter looks for a line at every
 * instruction of a thread that is traced, and runs none of those that it has made for what the code does; so the functions
 * that have no loops, whose lines do not count (count.h), run untraced. For that the interpreter enters every function
 * through a hook, each with a state of its own: calls of Python functions take C stack then. */
#ifndef RETROSCOPE_ENTRIES_H
#define RETROSCOPE_ENTRIES_H

#include "core.h"

#include <stdbool.h>

#if PY_VERSION_HEX < 0x030C0000

/* From here on entries are counted, or are not. */
void entries_are_counted(bool on);

/* The calling thread has the turn, after another one. */
void entries_go_on(void);

#endif
#endif
