#include "rehash.h"

#include <stdlib.h>

static int by_hash(const void *a, const void *b)
{
    Py_hash_t x = PyObject_Hash(*(PyObject *const *)a), y = PyObject_Hash(*(PyObject *const *)b);
    return x < y ? -1 : x > y;
}

/* A set filled before we came is filled again, in the order of the new hashes. */
static int rehash_set(PyObject *set)
{
    PyObject *items = PySequence_List(set);
    int failed = items ? PySet_Clear(set) : -1;
    if (!failed && PyList_GET_SIZE(items) > 1)
        qsort(((PyListObject *)items)->ob_item, (size_t)PyList_GET_SIZE(items), sizeof(PyObject *), by_hash);
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(items); i++)
        failed = PySet_Add(set, PyList_GET_ITEM(items, i));
    Py_XDECREF(items);
    return failed;
}

static int rehash_dict(PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    int plain = 1;
    while (plain && PyDict_Next(dict, &at, &key, &value))
        plain = PyUnicode_CheckExact(key) || PyLong_CheckExact(key);
    if (plain)
        return 0;
    PyObject *copy = PyDict_Copy(dict);
    if (!copy)
        return -1;
    PyDict_Clear(dict);
    at = 0;
    int failed = 0;
    while (!failed && PyDict_Next(copy, &at, &key, &value))
        failed = PyDict_SetItem(dict, key, value);
    Py_DECREF(copy);
    return failed;
}

int rehash(PyObject *objects)
{
    Py_ssize_t n = PyList_GET_SIZE(objects);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *o = PyList_GET_ITEM(objects, i);
        if (PyWeakref_Check(o))
            ((PyWeakReference *)o)->hash = -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *o = PyList_GET_ITEM(objects, i);
        if ((PySet_Check(o) && rehash_set(o) < 0) || (PyDict_CheckExact(o) && rehash_dict(o) < 0))
            return -1;
    }
    return 0;
}
