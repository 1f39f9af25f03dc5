/* Collections treat running generators, coroutines and asynchronous generators the same in recording and replay. */
#ifndef RETROSCOPE_RUNNING_GENERATORS_H
#define RETROSCOPE_RUNNING_GENERATORS_H

#include "core.h"

void running_generators_take_over(void);

#endif
