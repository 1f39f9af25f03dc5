/* sys.unraisablehook while originals run, in a recording: what they tell it comes to us first. */
#ifndef RETROSCOPE_UNRAISABLE_H
#define RETROSCOPE_UNRAISABLE_H

#include "core.h"

#include <stdbool.h>

/* Originals tell sys.unraisablehook of exceptions in callbacks; what stands for the hook meanwhile. */
extern bool callback_reporting;
extern PyObject *callback_reporter;

/* One more original runs, or one less, on any thread. */
void unraisable_open(void);
void unraisable_close(void);

/* The running thread has the turn now, and what it runs is to find the program's own hook: true when ours stood there.
 * Or it gives the turn up. */
bool unraisable_show(void);
void unraisable_hide(void);

/* In the child of a fork: the originals of other threads are gone with them. */
void unraisable_forked(void);

#endif
