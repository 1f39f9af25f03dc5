/* A digest of the arguments of a call: equal in recording and replay when the program asks the same. */
#ifndef RETROSCOPE_DIGEST_H
#define RETROSCOPE_DIGEST_H

#include "encode.h"

/* 32 bits over the arguments' values where they are plain data, over their types elsewhere.
 * `skip` is the index of an argument whose content does not count (a buffer to be filled), or -1. */
uint32_t digest_call(const boundary_call *call, Py_ssize_t skip);

#endif
