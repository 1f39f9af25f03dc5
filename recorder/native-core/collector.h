/* The garbage collector frees what somebody can see dying at recorded places only, so that finalizers and weakref
 * callbacks replay at the same place. In between it frees, silently, what nobody can see (silent.h), so that memory
 * stays bounded in a stretch of code that crosses no boundary. The program's own gc module shows nothing of this. */
#ifndef RETROSCOPE_COLLECTOR_H
#define RETROSCOPE_COLLECTOR_H

#include "core.h"

/* After an input was recorded: collects if it is due, and records that it does. */
void collector_after_input(void);

/* After an input was replayed: collects if the recording did. */
void collector_as_recorded(void);

#endif
