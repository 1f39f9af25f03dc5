/* asyncio's running event loops in a forked replay process. */
#ifndef RETROSCOPE_RUNNING_LOOPS_H
#define RETROSCOPE_RUNNING_LOOPS_H

#include <sys/types.h>

/* Interns the name that is looked for, so that nothing is allocated later. Returns -1 with an exception set. */
int running_loops_prepare(void);

/* In a child of our own raw fork: what ran in the process `before` runs here. */
void running_loops_follow(pid_t before);

/* In a replay that becomes the child of the program's own fork: what ran in its parent does not run here. */
void running_loops_leave(void);

#endif
