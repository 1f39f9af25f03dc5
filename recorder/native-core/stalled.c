#include "stalled.h"
#include "abandoned.h"
#include "control.h"

#include <stdio.h>
#include <string.h>

#define SECONDS 5.0  /* at least, and */
#define TIMES 50.0   /* as much as the recording took: counting and observing make replay slower */

static double clock_at;             /* monotonic seconds of the last CLOCK record */
static double span;                 /* between it and the one before */
static volatile unsigned limit;     /* in slices; 0: none, for no other process is known to have written anything */
static volatile uint64_t since;     /* the input */
static unsigned slices;             /* that passed since then */
static uint64_t counted;            /* since which input */

void stalled_clock(const record_view *record)
{
    double now;
    if (record->size != 23)
        return;
    memcpy(&now, record->payload + 15, sizeof now);
    span = clock_at > 0 && now > clock_at ? now - clock_at : 0;
    clock_at = now;
}

void stalled_next(const record_view *next)
{
    since = stream_inputs;
    limit = next && next->kind == KIND_MEMORY ? (unsigned)((SECONDS + TIMES * span) * 1e6 / SLICE_MICROSECONDS) : 0;
}

void stalled_look(void)
{
    char text[400];
    slices = counted == since ? slices + 1 : 0;
    counted = since;
    if (!limit || slices < limit || core_looking)
        return;
    snprintf(text, sizeof text, "The replay diverged from the recording at input %llu: the program has computed for %.0f s "
             "and goes on, where the recording took %.1f s at most. It seems to wait in a loop for what another process "
             "writes into shared memory, and what is read there without an input in between is not recorded.",
             (unsigned long long)since, slices * SLICE_MICROSECONDS / 1e6, span);
    control_diverged(text);
}
