#define Py_BUILD_CORE 1 /* the interpreter's list of hooks */
#include "audit.h"
#include "core.h"

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

/* --- silence ---------------------------------------------------------------------------------------------- */

static unsigned silences;       /* of all threads, that are not over */
static __thread unsigned own;   /* of this one */
static PyObject *kept;          /* the program's hooks meanwhile, or NULL */

void audit_silence(void)
{
    own++;
    if (silences++ == 0) {
        kept = core_interpreter->audit_hooks;
        core_interpreter->audit_hooks = NULL;
    }
}

static void give_back(void)
{
    PyObject *added = core_interpreter->audit_hooks; /* by a thread that ran while another was in hidden code */
    if (!added || !kept) {
        core_interpreter->audit_hooks = added ? added : kept;
    } else {
        core_interpreter->audit_hooks = kept;
        if (PyList_SetSlice(kept, PyList_GET_SIZE(kept), PyList_GET_SIZE(kept), added) < 0)
            PyErr_WriteUnraisable(NULL);
        Py_DECREF(added);
    }
    kept = NULL;
}

void audit_sound(void)
{
    own--;
    if (--silences == 0)
        give_back();
}

void audit_forked(void)
{
    if (silences && !own)
        give_back();
    silences = own;
}

PyObject *audit_hooks(void)
{
    return silences ? kept : core_interpreter->audit_hooks;
}

bool audit_is_hook(const void *function)
{
    PyObject *hooks = function ? audit_hooks() : NULL;
    for (Py_ssize_t i = 0; hooks && i < PyList_GET_SIZE(hooks); i++) {
        PyObject *hook = PyList_GET_ITEM(hooks, i);
        if (hook == function || (PyMethod_Check(hook) && PyMethod_GET_FUNCTION(hook) == function))
            return true;
    }
    return false;
}
