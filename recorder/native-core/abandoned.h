/* A running replay process whose controller is gone ends at once, whatever it computes. Linux only. */
#ifndef RETROSCOPE_ABANDONED_H
#define RETROSCOPE_ABANDONED_H

#define SLICE_MICROSECONDS 50000

/* The process begins to run; `channel` is its control socket. From now on its processor time is cut into slices, and
 * after each of them it looks whether the other end still is there or wants it to quit. */
void abandoned_watch(int channel, unsigned quit);

#endif
