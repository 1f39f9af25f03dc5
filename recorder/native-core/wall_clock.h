/* CLOCK records: when the record before was made. They order what several processes write, and tell the time of a moment. */
#ifndef RETROSCOPE_WALL_CLOCK_H
#define RETROSCOPE_WALL_CLOCK_H

/* Recording: writes one. */
void wall_clock_record(void);

/* Recording, after a call that may have waited: writes one if the last is older than 10 ms. */
void wall_clock_after_wait(void);

#endif
