/* CPython 3.11: function entries are counted without tracing. The interpreter looks for a line at every
 * instruction of a thread that is traced, and runs none of those that it has made for what the code does; so the functions
 * that have no loops, whose lines do not count (count.h), run untraced in a recording. In a replay of which nothing is
 * wanted but its end, those of one line do, which is one tick each. For that the interpreter enters every function through
 * a hook, each with a state of its own: calls of Python functions take C stack then. */
#ifndef RETROSCOPE_ENTRIES_H
#define RETROSCOPE_ENTRIES_H

#include "core.h"

#include <stdbool.h>

/* Replay: from here on functions of one line count their tick when they are entered, or are traced as all others. Not any
 * more once the program has had a second thread, whose stack is none that the interpreter knows. Nothing is to do on 3.12
 * and later. */
void entries_are_ticks(bool on);
void entries_meet_threads(void);

/* Replay: while questions to the system are still allowed. */
void entries_prepare(void);

#if PY_VERSION_HEX < 0x030C0000

/* From here on entries are counted, or are not. */
void entries_are_counted(bool on);

/* The calling thread has the turn, after another one. */
void entries_go_on(void);

#endif
#endif
