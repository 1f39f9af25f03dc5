/* The garbage collector runs at recorded places only, so that finalizers and weakref callbacks replay at
 * the same place. CPython's own trigger is off; the program still sees gc.isenabled() as it set it. */
#ifndef RETROSCOPE_COLLECTOR_H
#define RETROSCOPE_COLLECTOR_H

#include "core.h"

/* After an input was recorded: collects if it is due, and records that it does. */
void collector_after_input(void);

/* After an input was replayed: collects if the recording did. */
void collector_as_recorded(void);

#endif
