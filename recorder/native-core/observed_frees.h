/* The observer sees memory of the program freed: the frees of the interpreter's allocators pass through here. What is
 * taken and given stays as it is. */
#ifndef RETROSCOPE_OBSERVED_FREES_H
#define RETROSCOPE_OBSERVED_FREES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "block_format.h"

#include <stdbool.h>
#include <stdint.h>

/* From now on the arena's memory can be given to PyMem_Free, which leaves it alone. Also for the forks of an observer,
 * for ever. Forgets what it was told to look out for. False: the interpreter has no room for another watcher. */
bool observed_frees_begin(void);

/* From now on it is told when this object, which a fact of this kind is about, goes, or may have gone: once. */
void observed_free_of(PyObject *object, enum fact_kind kind);

/* Writes that what is at the address is not known to be what stores were told of before. */
void observed_lost(uintptr_t address);

#endif
