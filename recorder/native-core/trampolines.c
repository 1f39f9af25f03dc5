#include "trampolines.h"

/* A macro because C has no closures: 2048 functions that differ in one number. */
#define ONE(n)                                                                                          \
    static PyObject *trampoline_##n(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kw) \
    {                                                                                                   \
        return trampoline_land(0x##n, self, args, nargs, kw);                                           \
    }
#define SIXTEEN(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) \
                      X(n##8) X(n##9) X(n##a) X(n##b) X(n##c) X(n##d) X(n##e) X(n##f)
#define PAGE(X, n) SIXTEEN(X, n##0) SIXTEEN(X, n##1) SIXTEEN(X, n##2) SIXTEEN(X, n##3) \
                   SIXTEEN(X, n##4) SIXTEEN(X, n##5) SIXTEEN(X, n##6) SIXTEEN(X, n##7) \
                   SIXTEEN(X, n##8) SIXTEEN(X, n##9) SIXTEEN(X, n##a) SIXTEEN(X, n##b) \
                   SIXTEEN(X, n##c) SIXTEEN(X, n##d) SIXTEEN(X, n##e) SIXTEEN(X, n##f)
#define ALL(X) PAGE(X, 0) PAGE(X, 1) PAGE(X, 2) PAGE(X, 3) PAGE(X, 4) PAGE(X, 5) PAGE(X, 6) PAGE(X, 7)

ALL(ONE)

#define NAME(n) trampoline_##n,
const _PyCFunctionFastWithKeywords trampolines[TRAMPOLINES] = {ALL(NAME)};
