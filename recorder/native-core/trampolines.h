/* One C function for each patched callable: what CPython calls has no way to say who it is. */
#ifndef RETROSCOPE_TRAMPOLINES_H
#define RETROSCOPE_TRAMPOLINES_H

#include "core.h"

#define TRAMPOLINES 2048

extern const _PyCFunctionFastWithKeywords trampolines[TRAMPOLINES];

/* What each of them calls. */
PyObject *trampoline_land(unsigned index, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

#endif
