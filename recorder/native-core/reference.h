/* Objects that recording and replay both know by their place in a call: self, an argument, what a callback of the call
 * returned or raised, or an item of one of these. */
#ifndef RETROSCOPE_REFERENCE_H
#define RETROSCOPE_REFERENCE_H

#include "encode.h"

#define REFERENCE_STEPS 4
#define REFERENCE_OUTCOME 0x80000000u  /* in the first step: the number of a callback's outcome follows */
#define REFERENCE_REGISTER 0x40000000u /* in the first step: which of the interpreter's lists of hooks */

/* First step: 0 self, i the i-th argument, an outcome or a list of hooks; further steps: item of that list, tuple or
 * dict (its values), or that one of the C members of an object of another type. */
typedef struct {
    uint32_t length;
    uint32_t steps[REFERENCE_STEPS];
} reference;

/* 1 and *found when `object` has a place in `call`. Items are looked at only once the call has called back. */
int reference_find(const boundary_call *call, PyObject *object, reference *found);

/* The object at this place: a new reference, or NULL with an exception. */
PyObject *reference_get(const boundary_call *call, const reference *place);

#endif
