/* What a replay does when its record is used up and the program has not ended: a killed program.
 *
 * Nothing tells how far it got after its last input. The replay runs on from there and ends when it asks for another
 * input, TICKS_AFTER_RECORD line events later, or when it has computed for some seconds without any line event or for
 * many in all: then it ends at a tick that is not the same every time. */
#ifndef RETROSCOPE_AFTER_RECORD_H
#define RETROSCOPE_AFTER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#define TICKS_AFTER_RECORD 1000000u

/* At this tick the replay ends by control_cut_off(); the tick handler looks. */
extern uint64_t after_record_tick;

/* The last record was taken. */
void after_record_begins(void);

/* The process begins to run, or stops and waits. */
void after_record_run(bool runs);

#endif
