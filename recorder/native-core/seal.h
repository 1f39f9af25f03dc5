/* The seal: a replay process may not reach outside. Linux only, x86-64 and arm64.
 *
 * A seccomp filter traps the system calls that open sockets, write or change files, start programs or threads, or
 * touch other processes. A trapped call of the program is named with its Python stack and the replay stops (SEALED);
 * one made by our own code or while looking fails with EPERM. Threads and spawned programs cannot be trapped: making
 * one fails with EAGAIN. Reading is allowed. What makes no system call (the clock
 * through the vDSO) cannot be seen here.
 */
#ifndef RETROSCOPE_SEAL_H
#define RETROSCOPE_SEAL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

enum seal_state { SEAL_APPLIED = 0, SEAL_MISSING = 1 };

/* Seals this process and its forks for good. SEAL_MISSING: the system offers no seccomp filter. */
int seal_apply(void);

/* A sentence for the user, after SEAL_MISSING. */
const char *seal_missing_text(void);

/* The program does `what`, which the seal does not allow: stops the replay with the Python stack. */
_Noreturn void seal_caught(const char *what);

/* An extension of the program does `what` ("opens …"), for which a replay has no means: stops likewise. */
_Noreturn void seal_cannot(const char *what);

#endif
