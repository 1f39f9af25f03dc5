/* The first entry of sys.path. CPython, which starts the program itself, keeps it: for sub-interpreters, and (3.13) to
 * say when a file of the program's shadows a module. */
#define Py_BUILD_CORE 1
#include "core.h"

#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

/* Where it is, and with what CPython frees it: also where the debug hooks of -X dev are on. */
#if PY_VERSION_HEX >= 0x030D0000
#define SLOT(config) ((config)->sys_path_0)
#define ALLOCATE PyMem_RawMalloc
#define FREE PyMem_RawFree
#else
#define SLOT(config) (_PyRuntime.sys_path_0)
#define ALLOCATE malloc
#define FREE free
#endif

static PyObject *set_path0(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyConfig *config = &PyInterpreterState_Main()->config;
    PyObject *text;
    int safe;
    if (!PyArg_ParseTuple(args, "Up", &text, &safe))
        return NULL;
    config->safe_path = safe;
#if PY_VERSION_HEX >= 0x030C0100
    Py_ssize_t size = PyUnicode_AsWideChar(text, NULL, 0); /* with the end */
    wchar_t *path = size < 0 ? NULL : ALLOCATE((size_t)size * sizeof *path);
    if (!path || PyUnicode_AsWideChar(text, path, size) < 0) {
        FREE(path);
        return size < 0 ? NULL : PyErr_NoMemory();
    }
    FREE(SLOT(config));
    SLOT(config) = path;
#endif
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_path0", set_path0, METH_VARARGS,
     "set_path0(text, safe): what the interpreter knows of the program's sys.path[0], and of -P."},
    {0},
};

int path0_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
