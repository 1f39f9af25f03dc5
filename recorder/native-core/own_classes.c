/* Classes that are there because of Retroscope: plain Python has not got them, and a replay has others than the
 * recording. So they are not among the subclasses that the program is told of. In C, for abstract base classes ask for
 * subclasses often. */
#include "core.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "retroscope.";
static PyObject *module_key; /* "__module__" */

/* Those that came between the start of the interpreter and that of the program: ours, and those of copies of built-in
 * modules that only we have. Sorted by address; they never die. */
static PyTypeObject **early;
static size_t early_count;

/* Where a class says that it was made, a new reference; NULL without an exception: nowhere. */
static PyObject *module_of(PyTypeObject *type)
{
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        const char *dot = strrchr(type->tp_name, '.');
        return dot ? PyUnicode_FromStringAndSize(type->tp_name, dot - type->tp_name) : NULL;
    }
    PyObject *name = type->tp_dict ? PyDict_GetItemWithError(type->tp_dict, module_key) : NULL;
    return name && PyUnicode_CheckExact(name) ? Py_NewRef(name) : NULL;
}

/* Does the program find the class in a module that it has imported? */
static bool is_reached(PyTypeObject *type, PyObject *name)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *module = PyDict_CheckExact(modules) ? PyDict_GetItemWithError(modules, name) : NULL;
    const char *dot = strrchr(type->tp_name, '.');
    return module && PyModule_CheckExact(module) &&
           PyDict_GetItemString(PyModule_GetDict(module), dot ? dot + 1 : type->tp_name) == (PyObject *)type;
}

static int by_address(const void *a, const void *b)
{
    const PyTypeObject *left = *(PyTypeObject *const *)a, *right = *(PyTypeObject *const *)b;
    return (left > right) - (left < right);
}

static bool is_ours(PyTypeObject *type)
{
    bool known = early && bsearch(&type, early, early_count, sizeof *early, by_address);
    PyObject *name = module_of(type);
    const char *text = name ? PyUnicode_AsUTF8(name) : NULL;
    bool ours = text && (known || strncmp(text, prefix, sizeof prefix - 1) == 0) && !is_reached(type, name);
    PyErr_Clear(); /* a name that is no UTF-8 is not ours */
    Py_XDECREF(name);
    return ours;
}

/* A list of those. */
static PyObject *begin(PyObject *Py_UNUSED(module), PyObject *classes)
{
    if (!PyList_CheckExact(classes))
        return PyErr_Format(PyExc_TypeError, "a list of classes is expected");
    early = PyMem_Calloc((size_t)PyList_GET_SIZE(classes) + 1, sizeof *early);
    if (!early)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(classes); i++)
        early[early_count++] = (PyTypeObject *)Py_NewRef(PyList_GET_ITEM(classes, i));
    qsort(early, early_count, sizeof *early, by_address);
    Py_RETURN_NONE;
}

/* (classes, …): takes ours out of the list. */
static PyObject *leave_out(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || !PyList_CheckExact(args[0]))
        return PyErr_Format(PyExc_TypeError, "a list of classes is expected");
    for (Py_ssize_t i = PyList_GET_SIZE(args[0]); i-- > 0;)
        if (is_ours((PyTypeObject *)PyList_GET_ITEM(args[0], i)) && PyList_SetSlice(args[0], i, i + 1, NULL) < 0)
            return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"own_classes_begin", begin, METH_O, "own_classes_begin(classes): those that came since the interpreter began."},
    {"own_classes_leave_out", (PyCFunction)(void (*)(void))leave_out, METH_FASTCALL,
     "own_classes_leave_out(classes, …): takes those of Retroscope out of the list."},
    {0},
};

int own_classes_register(PyObject *module)
{
    module_key = PyUnicode_InternFromString("__module__");
    return module_key ? PyModule_AddFunctions(module, functions) : -1;
}
