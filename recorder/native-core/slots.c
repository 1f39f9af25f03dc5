/* Slots of C types at the boundary: what the type does for `next`, `len`, `[]`, construction, hashing and comparing. */
#include "slots.h"

#include <stdbool.h>
#include <string.h>
#include <structmember.h>

/* --- calling what was there before ------------------------------------------------------------- */

static PyObject *original_init(boundary_entry *entry, const boundary_call *call)
{
    PyObject *args = boundary_args(call);
    PyObject *kwargs = args ? boundary_kwargs(call) : NULL;
    PyObject *result = NULL;
    if (args && !PyErr_Occurred() && entry->was.init(call->self, args, kwargs) == 0)
        result = Py_NewRef(Py_None);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

static PyObject *original_new(boundary_entry *entry, const boundary_call *call)
{
    PyObject *args = boundary_args(call);
    PyObject *kwargs = args ? boundary_kwargs(call) : NULL;
    PyObject *result = NULL;
    if (args && !PyErr_Occurred())
        result = entry->was.new_((PyTypeObject *)call->self, args, kwargs);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

/* tp_iternext may return NULL without an exception: the end, told to the dispatcher as StopIteration. */
static PyObject *original_unary(boundary_entry *entry, const boundary_call *call)
{
    PyObject *result = entry->was.unary(call->self);
    if (!result && !PyErr_Occurred())
        PyErr_SetNone(PyExc_StopIteration);
    return result;
}

static PyObject *original_length(boundary_entry *entry, const boundary_call *call)
{
    Py_ssize_t n = entry->was.length(call->self);
    return n < 0 ? NULL : PyLong_FromSsize_t(n);
}

static PyObject *original_repr(boundary_entry *entry, const boundary_call *call)
{
    return entry->was.unary(call->self);
}

static PyObject *original_str(boundary_entry *entry, const boundary_call *call)
{
    return entry->was.unary(call->self);
}

static PyObject *original_hash(boundary_entry *entry, const boundary_call *call)
{
    Py_hash_t hash = entry->was.hash(call->self);
    return hash == -1 ? NULL : PyLong_FromSsize_t(hash);
}

static PyObject *original_subscript(boundary_entry *entry, const boundary_call *call)
{
    return entry->was.subscript(call->self, call->args[0]);
}

static PyObject *original_assign(boundary_entry *entry, const boundary_call *call)
{
    int failed = entry->was.assign(call->self, call->args[0], call->nargs > 1 ? call->args[1] : NULL);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *original_compare(boundary_entry *entry, const boundary_call *call)
{
    return entry->was.compare(call->self, call->args[0], (int)PyLong_AsLong(call->args[1]));
}

/* --- what stands there instead ------------------------------------------------------------------- */

static PyObject *dispatch_tuple(boundary_entry *entry, PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t n = PyTuple_GET_SIZE(args), named = kwargs ? PyDict_GET_SIZE(kwargs) : 0;
    if (!named) {
        const boundary_call call = {self, ((PyTupleObject *)args)->ob_item, n, NULL};
        return boundary_dispatch(entry, &call);
    }
    PyObject *names = PyTuple_New(named);
    PyObject **all = names ? PyMem_Malloc((size_t)(n + named) * sizeof *all) : NULL;
    if (!all) {
        Py_XDECREF(names);
        return PyErr_NoMemory();
    }
    memcpy(all, ((PyTupleObject *)args)->ob_item, (size_t)n * sizeof *all);
    PyObject *key, *value;
    Py_ssize_t at = 0, i = 0;
    while (PyDict_Next(kwargs, &at, &key, &value)) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(key));
        all[n + i++] = value;
    }
    const boundary_call call = {self, all, n, names};
    PyObject *result = boundary_dispatch(entry, &call);
    PyMem_Free(all);
    Py_DECREF(names);
    return result;
}

static int slot_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *result = dispatch_tuple(boundary_of_slot(Py_TYPE(self), original_init), self, args, kwargs);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static PyObject *slot_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    return dispatch_tuple(boundary_of_slot(type, original_new), (PyObject *)type, args, kwargs);
}

static PyObject *slot_iternext(PyObject *self)
{
    const boundary_call call = {self, NULL, 0, NULL};
    PyObject *result = boundary_dispatch(boundary_of_slot(Py_TYPE(self), original_unary), &call);
    if (!result && PyErr_ExceptionMatches(PyExc_StopIteration))
        PyErr_Clear();
    return result;
}

static Py_ssize_t slot_length(PyObject *self)
{
    const boundary_call call = {self, NULL, 0, NULL};
    PyObject *result = boundary_dispatch(boundary_of_slot(Py_TYPE(self), original_length), &call);
    Py_ssize_t n = result ? PyLong_AsSsize_t(result) : -1;
    Py_XDECREF(result);
    return n;
}

static PyObject *slot_subscript(PyObject *self, PyObject *key)
{
    const boundary_call call = {self, &key, 1, NULL};
    return boundary_dispatch(boundary_of_slot(Py_TYPE(self), original_subscript), &call);
}

static int slot_assign(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *args[] = {key, value};
    const boundary_call call = {self, args, value ? 2 : 1, NULL};
    PyObject *result = boundary_dispatch(boundary_of_slot(Py_TYPE(self), original_assign), &call);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static PyObject *slot_repr(PyObject *self)
{
    const boundary_call call = {self, NULL, 0, NULL};
    return boundary_dispatch(boundary_of_slot(Py_TYPE(self), original_repr), &call);
}

static PyObject *slot_str(PyObject *self)
{
    const boundary_call call = {self, NULL, 0, NULL};
    return boundary_dispatch(boundary_of_slot(Py_TYPE(self), original_str), &call);
}

static Py_hash_t slot_hash(PyObject *self)
{
    const boundary_call call = {self, NULL, 0, NULL};
    PyObject *result = boundary_dispatch(boundary_of_slot(Py_TYPE(self), original_hash), &call);
    Py_hash_t hash = result ? PyLong_AsSsize_t(result) : -1;
    Py_XDECREF(result);
    return hash;
}

static PyObject *slot_compare(PyObject *self, PyObject *other, int operation)
{
    PyObject *number = PyLong_FromLong(operation);
    PyObject *args[] = {other, number};
    const boundary_call call = {self, args, 2, NULL};
    PyObject *result = number ? boundary_dispatch(boundary_of_slot(Py_TYPE(self), original_compare), &call) : NULL;
    Py_XDECREF(number);
    return result;
}

/* Subtypes that inherited the slot before we came. */
static void replace_slot(PyTypeObject *type, size_t offset, void *was, void *now)
{
    void **slot = (void **)((char *)type + offset);
    if (*slot != was)
        return;
    *slot = now;
    PyObject *subclasses = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    for (Py_ssize_t i = 0; subclasses && i < PyList_GET_SIZE(subclasses); i++)
        replace_slot((PyTypeObject *)PyList_GET_ITEM(subclasses, i), offset, was, now);
    if (!subclasses)
        PyErr_Clear();
    Py_XDECREF(subclasses);
}

typedef struct {
    const char *name;
    size_t table;  /* offset in the type of the pointer to the table that holds the slot; 0: the type itself */
    size_t offset;
    void *now;
    boundary_original original;
} slot_kind;

static const slot_kind slot_kinds[] = {
    {"__init__", 0, offsetof(PyTypeObject, tp_init), (void *)slot_init, original_init},
    {"__new__", 0, offsetof(PyTypeObject, tp_new), (void *)slot_new, original_new},
    {"__next__", 0, offsetof(PyTypeObject, tp_iternext), (void *)slot_iternext, original_unary},
    {"__repr__", 0, offsetof(PyTypeObject, tp_repr), (void *)slot_repr, original_repr},
    {"__str__", 0, offsetof(PyTypeObject, tp_str), (void *)slot_str, original_str},
    {"__hash__", 0, offsetof(PyTypeObject, tp_hash), (void *)slot_hash, original_hash},
    {"__eq__", 0, offsetof(PyTypeObject, tp_richcompare), (void *)slot_compare, original_compare}, /* and the others */
    {"__len__", offsetof(PyTypeObject, tp_as_mapping), offsetof(PyMappingMethods, mp_length), (void *)slot_length,
     original_length},
    {"__getitem__", offsetof(PyTypeObject, tp_as_mapping), offsetof(PyMappingMethods, mp_subscript),
     (void *)slot_subscript, original_subscript},
    {"__setitem__", offsetof(PyTypeObject, tp_as_mapping), offsetof(PyMappingMethods, mp_ass_subscript),
     (void *)slot_assign, original_assign},
};

int slots_patch(boundary_entry *entry, PyTypeObject *type, const char *name)
{
    const slot_kind *kind = slot_kinds, *end = kind + sizeof slot_kinds / sizeof *slot_kinds;
    while (kind < end && strcmp(kind->name, name) != 0)
        kind++;
    char *table = kind < end && kind->table ? *(char **)((char *)type + kind->table) : (char *)type;
    if (kind == end || !table) {
        PyErr_Format(PyExc_ValueError, "no such slot: %s", name);
        return -1;
    }
    void **slot = (void **)(table + kind->offset), *was = *slot, *now = kind->now;
    entry->original = kind->original;
    if (!was || was == now) {
        PyErr_Format(PyExc_TypeError, "%.100s has no %s of its own", type->tp_name, name);
        return -1;
    }
    entry->was.init = (initproc)was;
    entry->type = type;
    if (kind->table)
        *slot = now;
    else
        replace_slot(type, kind->offset, was, now);
    PyObject *dict = PyObject_GetAttrString((PyObject *)type, "__dict__");
    PyObject *wrapper = dict ? PyMapping_GetItemString(dict, name) : NULL;
    if (wrapper && Py_IS_TYPE(wrapper, &PyWrapperDescr_Type))
        ((PyWrapperDescrObject *)wrapper)->d_wrapped = now;
    PyErr_Clear();
    Py_XDECREF(wrapper);
    Py_XDECREF(dict);
    return 0;
}
