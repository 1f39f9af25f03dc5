#include "observed_setters.h"

#include "observe.h"
#include "observed_stores.h"
#include "ticks.h"

#include <stddef.h>

typedef PyObject *(*fast_function)(PyObject *, PyObject *const *, Py_ssize_t);

static fast_function setattr_below;
static PyCFunction delattr_below;
static wrapperfunc wrap_setattr_below, wrap_delattr_below;

static bool is_seen(void)
{
    return observing && !ticks_hidden;
}

static PyObject *on_setattr(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    if (n == 3 && is_seen())
        observed_attribute_store(args[0], args[1], args[2], Py_TYPE(args[0])->tp_setattro);
    return setattr_below(module, args, n);
}

static PyObject *on_delattr(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    if (n == 2 && is_seen())
        observed_attribute_store(args[0], args[1], NULL, Py_TYPE(args[0])->tp_setattro);
    return ((fast_function)(void (*)(void))delattr_below)(module, args, n);
}

static PyObject *on_wrapped_setattr(PyObject *self, PyObject *args, void *wrapped)
{
    if (PyTuple_GET_SIZE(args) == 2 && is_seen())
        observed_attribute_store(self, PyTuple_GET_ITEM(args, 0), PyTuple_GET_ITEM(args, 1), (setattrofunc)wrapped);
    return wrap_setattr_below(self, args, wrapped);
}

static PyObject *on_wrapped_delattr(PyObject *self, PyObject *args, void *wrapped)
{
    if (PyTuple_GET_SIZE(args) == 1 && is_seen())
        observed_attribute_store(self, PyTuple_GET_ITEM(args, 0), NULL, (setattrofunc)wrapped);
    return wrap_delattr_below(self, args, wrapped);
}

/* The method table entry of a builtin function that takes its arguments FASTCALL; NULL where it is another. */
static PyMethodDef *builtin(const char *name)
{
    PyObject *found = PyDict_GetItemString(PyEval_GetBuiltins(), name);
    if (!found || !PyCFunction_Check(found))
        return NULL;
    PyMethodDef *method = ((PyCFunctionObject *)found)->m_ml;
    return (method->ml_flags & (METH_VARARGS | METH_FASTCALL | METH_KEYWORDS | METH_O)) == METH_FASTCALL ? method : NULL;
}

/* The interpreter's own description of a slot, which all types share. */
static struct wrapperbase *slot(const char *name)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)&PyBaseObject_Type, name);
    bool is_wrapper = found && Py_IS_TYPE(found, &PyWrapperDescr_Type);
    struct wrapperbase *base = is_wrapper ? ((PyWrapperDescrObject *)found)->d_base : NULL;
    Py_XDECREF(found); /* the type keeps it */
    PyErr_Clear();
    return base;
}

static PyMethodDef *setattr_method, *delattr_method;
static struct wrapperbase *setattr_slot, *delattr_slot;

void observed_setters_prepare(void)
{
    setattr_method = builtin("setattr");
    delattr_method = builtin("delattr");
    setattr_slot = slot("__setattr__");
    delattr_slot = slot("__delattr__");
}

void observed_setters_begin(void)
{
    if (setattr_method && !setattr_below) {
        setattr_below = (fast_function)(void (*)(void))setattr_method->ml_meth;
        setattr_method->ml_meth = (PyCFunction)(void (*)(void))on_setattr;
    }
    if (delattr_method && !delattr_below) {
        delattr_below = delattr_method->ml_meth;
        delattr_method->ml_meth = (PyCFunction)(void (*)(void))on_delattr;
    }
    if (setattr_slot && !wrap_setattr_below) {
        wrap_setattr_below = setattr_slot->wrapper;
        setattr_slot->wrapper = on_wrapped_setattr;
    }
    if (delattr_slot && !wrap_delattr_below) {
        wrap_delattr_below = delattr_slot->wrapper;
        delattr_slot->wrapper = on_wrapped_delattr;
    }
}
