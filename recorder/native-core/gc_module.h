/* The program's gc module: its functions keep their objects, and what they show is what the program did. */
#ifndef RETROSCOPE_GC_MODULE_H
#define RETROSCOPE_GC_MODULE_H

#include "core.h"

/* 0, or -1 with an exception set. */
int gc_module_redirect(PyObject *gc);

/* What gc_module.c needs of collector.c: */

/* The program is about to look at what garbage there is, or to stop collections: both sides must agree on what is
 * left. A recorded place: collects here what a silent collection could have freed. `old_only`: only if that was of the
 * older generations. */
void collector_settle(int old_only);

/* +1 before an explicit collection, -1 after it. */
void collector_explicit(int delta);

/* CPython's thresholds become the program's, and back: what they are then is what the program wants. */
void collector_show_thresholds(void);
void collector_take_thresholds(void);

#endif
