/* Whose death can be seen: by a finalizer, by a weak reference, or by what the object's C code does when it goes. */
#ifndef RETROSCOPE_DEATHS_H
#define RETROSCOPE_DEATHS_H

#include "core.h"

#include <stdbool.h>

/* Does nobody see this object die, were it to die now? Its own death only, not that of what it refers to. What is not
 * known to be silent is not: open files, sockets, suspended generators, classes, objects of unlisted C types. */
bool death_is_silent(PyObject *object);

/* Plain data without references, which nobody can ever see die: numbers, strings, None. */
bool death_is_never_seen(PyTypeObject *type);

/* Before a number of questions between which nothing is freed. */
void deaths_begin(void);

/* Must be called once: 0, or -1 with an exception set. */
int deaths_prepare(void);

#endif
