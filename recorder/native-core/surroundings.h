/* What a replay process leaves behind of the process that started it. Linux only. */
#ifndef RETROSCOPE_SURROUNDINGS_H
#define RETROSCOPE_SURROUNDINGS_H

/* Closes the standard streams and blocks all signals; `died` handles those of the program's own death. 0, or -1 with
 * errno. */
int surroundings_leave(void (*died)(int signal_number));

#endif
