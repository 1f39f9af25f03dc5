/* Threads of an extension that only compute, or work off a queue: argon2's lanes, libuv's, which look up hosts for uvloop.
 *
 * Such a thread waits at a condition variable, does a piece of work in C, and waits again or ends. It becomes a coroutine
 * here, in recording and replay alike: it runs until it waits, in the thread of the program that started it or that handed
 * it work, so there is nothing to record of it. The work delays that thread; other threads of the program run meanwhile if it
 * waits without the GIL. */
#ifndef RETROSCOPE_FOREIGN_WORKERS_H
#define RETROSCOPE_FOREIGN_WORKERS_H

#include "foreign.h"

/* Makes a coroutine of the thread that pthread_create() was asked for with `arguments`, if the library at `path` is known
 * to use its threads so. */
bool foreign_worker_starts(const char *path, const long *arguments);

/* Rules (foreign.h) for what these threads and those that give them work call; they hold outside the boundary too. */
long foreign_worker_wait(unsigned function, const long *arguments);
long foreign_worker_lock(unsigned function, const long *arguments);
long foreign_worker_signal(unsigned function, const long *arguments);
long foreign_worker_broadcast(unsigned function, const long *arguments);
long foreign_worker_unlock(unsigned function, const long *arguments);
long foreign_worker_join(unsigned function, const long *arguments);
long foreign_worker_exit(unsigned function, const long *arguments);

#endif
