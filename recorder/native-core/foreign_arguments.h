/* The arguments of a call into the C library (foreign.h). */
#ifndef RETROSCOPE_FOREIGN_ARGUMENTS_H
#define RETROSCOPE_FOREIGN_ARGUMENTS_H

#include "foreign.h"

/* Reads the arguments, as the function's description says, before the call is made. */
void foreign_read(foreign_call *call, unsigned function, const long *arguments);

/* How many bytes of out number `index` the call has filled; `*used`: how many of the result's bytes lie in the outs
 * before, 0 at the first. */
size_t foreign_filled(const foreign_call *call, unsigned index, long result, size_t *used);

#endif
