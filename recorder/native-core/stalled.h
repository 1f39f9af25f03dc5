/* A replay that computes for ever, where the recording went on: the program waits in a loop for what another process
 * writes into memory that they share, without an input in the loop. What it read there is not in the record.
 *
 * The record says how long the program took at most, so replay ends long after that, with a sentence that says why. */
#ifndef RETROSCOPE_STALLED_H
#define RETROSCOPE_STALLED_H

#include "decode.h"

/* A CLOCK record is passed by. */
void stalled_clock(const record_view *record);

/* An input was taken; `next` is what comes now, NULL: nothing. */
void stalled_next(const record_view *next);

/* After each slice of the process's processor time. Async-signal-safe; does not return when it took too long. */
void stalled_look(void);

#endif
