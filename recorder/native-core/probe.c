#include "probe.h"

#include "core.h"
#include "frames.h"

#include <string.h>

static PyObject *make, *judge;
static PyObject *conditions; /* {breakpoint id: judgement}, as `make` returned it; NULL: none are judged here */

static bool take(const char **p, const char *end, void *to, size_t n)
{
    if ((size_t)(end - *p) < n)
        return false;
    memcpy(to, *p, n);
    *p += n;
    return true;
}

/* [(id, text)…] of the message, or NULL. */
static PyObject *read_conditions(const char *p, const char *end)
{
    uint32_t n, id, size;
    PyObject *list = take(&p, end, &n, sizeof n) ? PyList_New(0) : NULL;
    for (uint32_t i = 0; list && i < n; i++) {
        bool whole = take(&p, end, &id, sizeof id) && take(&p, end, &size, sizeof size) && size <= (size_t)(end - p);
        PyObject *pair = whole ? Py_BuildValue("ks#", (unsigned long)id, p, (Py_ssize_t)size) : NULL;
        if (!pair || PyList_Append(list, pair) < 0)
            Py_CLEAR(list);
        Py_XDECREF(pair);
        p += whole ? size : 0;
    }
    return list;
}

bool probe_arm(const char *body, size_t size)
{
    if (!make)
        return false;
    core_hide();
    PyObject *list = read_conditions(body, body + size);
    Py_XSETREF(conditions, list ? PyObject_CallOneArg(make, list) : NULL);
    Py_XDECREF(list);
    PyErr_Clear();
    core_show();
    return conditions != NULL;
}

bool probe_may_hit(uint32_t breakpoint)
{
    if (!conditions)
        return true;
    core_hide();
    PyObject *frame = frames_object();
    PyObject *verdict = frame ? PyObject_CallFunction(judge, "OkO", conditions, (unsigned long)breakpoint, frame) : NULL;
    bool holds = verdict != Py_False; /* a failure is a "perhaps" */
    Py_XDECREF(verdict);
    Py_XDECREF(frame);
    PyErr_Clear();
    core_show();
    return holds;
}

static PyObject *set_probe(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *maker, *judging;
    if (!PyArg_ParseTuple(args, "OO", &maker, &judging))
        return NULL;
    Py_XSETREF(make, Py_NewRef(maker));
    Py_XSETREF(judge, Py_NewRef(judging));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_probe", set_probe, METH_VARARGS,
     "set_probe(make, judge): make([(breakpoint, condition)…]) prepares; judge(prepared, breakpoint, frame) is False\n"
     "only when the condition certainly does not hold."},
    {0},
};

int probe_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
