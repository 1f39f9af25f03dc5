#define Py_BUILD_CORE 1 /* the version tags of dicts */
#include "warned.h"
#include "core.h"

static PyObject *registry_name;

static inline uint64_t version_of(PyObject *dict)
{
    return ((PyDictObject *)dict)->ma_version_tag;
}

/* Borrowed; NULL if there is none, or none that C code would use. A version is that of one dict at one time, so the
 * answer for a module that has not changed is known. */
static PyObject *registry_in(PyObject *globals)
{
    static uint64_t version;
    static PyObject *found;
    if (version_of(globals) == version)
        return found;
    if (!registry_name && !(registry_name = PyUnicode_InternFromString("__warningregistry__"))) {
        PyErr_Clear(); /* no memory: what is in it will be missing, and replay says what differs */
        return NULL;
    }
    found = PyDict_GetItemWithError(globals, registry_name);
    found = found && PyDict_CheckExact(found) ? found : NULL;
    version = version_of(globals);
    return found;
}

/* What "version", the first item of a registry, says; -1: it is empty. */
static long filters_of(PyObject *registry)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    return PyDict_Next(registry, &at, &key, &value) && PyLong_CheckExact(value) ? PyLong_AsLong(value) : -1;
}

warned_mark warned_before(void)
{
    PyObject *globals = PyEval_GetGlobals();
    warned_mark mark = {.globals = globals && PyDict_CheckExact(globals) ? globals : NULL};
    mark.registry = mark.globals ? registry_in(globals) : NULL;
    if (mark.registry) {
        mark.version = version_of(mark.registry);
        mark.length = PyDict_GET_SIZE(mark.registry);
        mark.filters = filters_of(mark.registry);
    }
    return mark;
}

/* Else it was emptied, as it was of older filters, and filled again. */
static int has_grown(const warned_mark *mark, PyObject *registry)
{
    return registry == mark->registry && PyDict_GET_SIZE(registry) > mark->length && mark->filters == filters_of(registry);
}

static PyObject *pairs(PyObject *registry, Py_ssize_t from)
{
    PyObject *key, *value, *all = PyTuple_New(PyDict_GET_SIZE(registry) - from);
    Py_ssize_t at = 0;
    for (Py_ssize_t i = 0; all && PyDict_Next(registry, &at, &key, &value); i++) {
        PyObject *pair = i < from ? NULL : PyTuple_Pack(2, key, value);
        if (pair)
            PyTuple_SET_ITEM(all, i - from, pair);
        else if (i >= from)
            Py_CLEAR(all);
    }
    return all;
}

PyObject *warned_since(const warned_mark *mark)
{
    PyObject *registry = mark->globals ? registry_in(mark->globals) : NULL;
    if (!registry || (registry == mark->registry && version_of(registry) == mark->version))
        return NULL;
    int more = has_grown(mark, registry);
    PyObject *items = pairs(registry, more ? mark->length : 0);
    return items ? Py_BuildValue("(ON)", more ? Py_False : Py_True, items) : NULL;
}

/* The module's registry, made if there is none: borrowed, or NULL with an exception. */
static PyObject *registry_of(PyObject *globals)
{
    PyObject *registry = PyDict_GetItemString(globals, "__warningregistry__");
    if (registry && PyDict_CheckExact(registry))
        return registry;
    PyObject *made = PyDict_New();
    int failed = made ? PyDict_SetItemString(globals, "__warningregistry__", made) : -1;
    Py_XDECREF(made);
    return failed ? NULL : made;
}

PyObject *warned_again(PyObject *args)
{
    int all, failed = 0;
    PyObject *items, *globals = PyEval_GetGlobals();
    if (!PyArg_ParseTuple(args, "pO!", &all, &PyTuple_Type, &items))
        return NULL;
    core_hide(); /* C code hashed the keys in the call: no mark of that is left (identity.c) */
    PyObject *registry = globals && PyDict_CheckExact(globals) ? registry_of(globals) : NULL;
    if (registry && all)
        PyDict_Clear(registry);
    for (Py_ssize_t i = 0; registry && !failed && i < PyTuple_GET_SIZE(items); i++) {
        PyObject *key, *value;
        failed = !PyArg_ParseTuple(PyTuple_GET_ITEM(items, i), "OO", &key, &value) || PyDict_SetItem(registry, key, value) < 0;
    }
    core_show();
    return registry && !failed ? Py_NewRef(Py_None) : NULL;
}
