/* The raised exception as one object, the same on every supported Python. */
#ifndef RETROSCOPE_ERRORS_H
#define RETROSCOPE_ERRORS_H

#include "core.h"

/* Takes the current exception: a new reference, its traceback attached. One must be set. */
static inline PyObject *error_take(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Makes `error` (stolen) the current exception again, as it was. */
static inline void error_put_back(PyObject *error)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef(Py_TYPE(error)), error, PyException_GetTraceback(error));
#endif
}

#endif
