/* Objects kept alive for the sake of garbage that is gone already: each has one reference of ours. */
#ifndef RETROSCOPE_PINS_H
#define RETROSCOPE_PINS_H

#include "core.h"

#include <stdbool.h>

/* Keeps `object` alive; false when there is no memory for that. */
bool pins_add(PyObject *object);

/* Calls `visit` for each, in the order in which they came. */
void pins_visit(visitproc visit, void *argument);

/* Takes out those that `is_wanted` and appends them, in order, to `taken`; their references become the caller's.
 * `taken` has room for pins_used() of them. Returns how many. */
size_t pins_take(bool (*is_wanted)(PyObject *), PyObject **taken);

size_t pins_used(void);

#endif
