#define Py_BUILD_CORE 1 /* the interpreter's list of hooks */
#include "audit.h"

#include <internal/pycore_interp.h>

int audit_thread_starts(PyObject *function, PyObject *args, PyObject *kwargs)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PySys_Audit("_thread.start_new_thread", "OOO", function, args, kwargs ? kwargs : Py_None);
#else
    (void)function, (void)args, (void)kwargs;
    return 0;
#endif
}

int audit_joinable_starts(PyObject *function, int daemon, PyObject *handle)
{
    return PySys_Audit("_thread.start_joinable_thread", "OiO", function, daemon, handle ? handle : Py_None);
}

PyObject *audit_silence(void)
{
    PyObject *hooks = PyInterpreterState_Get()->audit_hooks;
    PyInterpreterState_Get()->audit_hooks = NULL;
    return hooks;
}

void audit_restore(PyObject *hooks)
{
    PyInterpreterState_Get()->audit_hooks = hooks;
}
