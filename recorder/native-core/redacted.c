#define _GNU_SOURCE
#include "redacted.h"
#include "core.h"

#include <stdlib.h>
#include <string.h>

bool redacted_any;

static const char mark[] = "<redacted>"; /* as in trace/redaction.py */
static PyObject *secrets;                /* a tuple of bytes, the longest first */

static void put_stand_in(char *place, size_t size)
{
    for (size_t i = 0; i < size; i++)
        place[i] = mark[i % (sizeof mark - 1)];
}

char *redacted_copy(const void *data, size_t size)
{
    char *copy = NULL;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(secrets); i++) {
        PyObject *secret = PyTuple_GET_ITEM(secrets, i);
        size_t length = (size_t)PyBytes_GET_SIZE(secret);
        const char *from = copy ? copy : data, *end = from + size, *found;
        while ((found = memmem(from, (size_t)(end - from), PyBytes_AS_STRING(secret), length)) != NULL) {
            if (!copy) {
                copy = malloc(size);
                if (!copy)
                    return NULL; /* the digest is that of the secret: a replay will differ, and say so */
                memcpy(copy, data, size);
                found = copy + (found - (const char *)data);
                end = copy + size;
            }
            put_stand_in((char *)found, length);
            from = found + length;
        }
    }
    return copy;
}

static PyObject *keep_out(PyObject *Py_UNUSED(module), PyObject *given)
{
    if (!PyTuple_Check(given))
        return PyErr_Format(PyExc_TypeError, "a tuple of bytes is wanted");
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(given); i++)
        if (!PyBytes_Check(PyTuple_GET_ITEM(given, i)) || PyBytes_GET_SIZE(PyTuple_GET_ITEM(given, i)) == 0)
            return PyErr_Format(PyExc_TypeError, "a tuple of bytes is wanted");
    Py_XSETREF(secrets, Py_NewRef(given));
    redacted_any = PyTuple_GET_SIZE(given) > 0;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"keep_out", keep_out, METH_O, "keep_out(secrets): bytes, the longest first, that digests must not depend on."},
    {0},
};

int redacted_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
