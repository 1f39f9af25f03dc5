/* What tells one moment of the program from another where nothing is counted: where each frame stands and what the
 * variables hold, as far as that can be followed without running any of the program's code. */
#ifndef RETROSCOPE_MOMENT_H
#define RETROSCOPE_MOMENT_H

#include "core.h"

#include <stdbool.h>

typedef struct {
    uint64_t here;  /* of the innermost frame: its instruction and its plain variables; costs next to nothing */
    uint64_t whole; /* of all frames and what can be reached from them */
} moment;

/* The moment of the running event. `*certain` (may be NULL): everything that was reached could be compared. */
moment moment_now(bool *certain);

/* Is this the moment? */
bool moment_is(const moment *sought);

#endif
