/* Slots of C types at the boundary. */
#ifndef RETROSCOPE_SLOTS_H
#define RETROSCOPE_SLOTS_H

#include "boundary.h"

/* Puts the slot behind the method `name` of `type` at the boundary; types below it that inherited the slot follow.
 * Returns -1 with an exception when there is no such slot. */
int slots_patch(boundary_entry *entry, PyTypeObject *type, const char *name);

#endif
