#include "wall_clock.h"

#include "record_writer.h"

#include <time.h>

#define APART_NS 10000000

static int64_t last_ns; /* by the coarse clock */

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Of the monotonic clock, and cheap: a few milliseconds late. */
static int64_t coarse_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void wall_clock_record(void)
{
    record_writer w;
    const double wall = seconds_of(CLOCK_REALTIME), monotonic = seconds_of(CLOCK_MONOTONIC);
    record_begin(&w, 0, KIND_CLOCK, 0, 0);
    write_bytes(&w, "(\2\0\0\0f", 6);
    write_bytes(&w, &wall, sizeof wall);
    write_bytes(&w, "f", 1);
    write_bytes(&w, &monotonic, sizeof monotonic);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* thirty bytes of fixed form cannot fail to encode */
    last_ns = coarse_ns();
}

void wall_clock_after_wait(void)
{
    if (coarse_ns() - last_ns >= APART_NS)
        wall_clock_record();
}
