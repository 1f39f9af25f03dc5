/* Exceptions that one thread raises in another (PyThreadState_SetAsyncExc, mostly by way of ctypes). */
#ifndef RETROSCOPE_ASYNC_EXCEPTIONS_H
#define RETROSCOPE_ASYNC_EXCEPTIONS_H

#include "core.h"

/* After the running thread may have left one for another: that thread alone is to look for it. With the GIL. */
void async_exceptions_left(void);

/* Replay: `state` runs from here on, without having taken the GIL. */
void async_exceptions_arrive(PyThreadState *state);

#endif
