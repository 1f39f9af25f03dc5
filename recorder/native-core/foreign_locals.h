/* What extensions keep for each thread, in a replay that has one thread of the operating system for all of the program's:
 * thread-local variables and the values of keys are exchanged when the contexts switch, and who asks for its own handle
 * is told the recorded one, so that two threads are two. */
#ifndef RETROSCOPE_FOREIGN_LOCALS_H
#define RETROSCOPE_FOREIGN_LOCALS_H

#include <link.h>

/* What one thread of the program has in them while another runs; NULL: it has not run yet. */
typedef struct foreign_locals foreign_locals;

/* A library was loaded whose thread-local variables are per thread of the program. */
void foreign_locals_know(const struct dl_phdr_info *library);

/* What an extension's calls of this function are to go to in replay, instead of `*real`; NULL: it has nothing to do with
 * the thread that calls it. */
void *foreign_locals_exchange(const char *name, void **real);

/* Takes what the running thread has out of the way, into `kept` or a new object. */
foreign_locals *foreign_locals_take(foreign_locals *kept);

/* Makes `kept` what the running thread has. */
void foreign_locals_put(const foreign_locals *kept);

void foreign_locals_free(foreign_locals *kept);

#endif
