/* Rules (foreign.h) for calls about the machine, the process and its threads. */
#ifndef RETROSCOPE_FOREIGN_SYSTEM_H
#define RETROSCOPE_FOREIGN_SYSTEM_H

#include "foreign.h"

long foreign_syscall(unsigned function, const long *arguments);
long foreign_sysconf(unsigned function, const long *arguments);
long foreign_auxiliary(unsigned function, const long *arguments);
long foreign_prctl(unsigned function, const long *arguments);
long foreign_thread_attributes(unsigned function, const long *arguments);
long foreign_async_exception(unsigned function, const long *arguments);

#endif
