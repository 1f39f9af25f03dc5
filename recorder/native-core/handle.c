#include "handle.h"

#include <string.h>

typedef struct {
    PyTypeObject *type; /* owned */
    PyObject *name, *encode, *decode;
} known_type;

static known_type *known;
static size_t known_size, known_used;

static size_t slot_of(const known_type *table, size_t size, const PyTypeObject *type)
{
    size_t i = ((uintptr_t)type >> 4) * 0x9E3779B97F4A7C15ull >> 20;
    while (table[i & (size - 1)].type && table[i & (size - 1)].type != type)
        i++;
    return i & (size - 1);
}

static int make_room(void)
{
    if (known_used * 2 < known_size)
        return 0;
    size_t size = known_size ? known_size * 2 : 512;
    known_type *table = calloc(size, sizeof *table);
    if (!table) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < known_size; i++)
        if (known[i].type)
            table[slot_of(table, size, known[i].type)] = known[i];
    free(known);
    known = table;
    known_size = size;
    return 0;
}

int handle_know(PyTypeObject *type, PyObject *name, PyObject *encode, PyObject *decode)
{
    if (make_room() < 0)
        return -1;
    known_type *k = &known[slot_of(known, known_size, type)];
    if (!k->type) {
        known_used++;
        k->type = (PyTypeObject *)Py_NewRef(type);
        k->name = Py_NewRef(name);
    }
    if (encode) {
        Py_XSETREF(k->encode, Py_NewRef(encode));
        Py_XSETREF(k->decode, Py_NewRef(decode));
    }
    return 0;
}

static known_type *find(PyTypeObject *type)
{
    if (!known_size)
        return NULL;
    known_type *k = &known[slot_of(known, known_size, type)];
    return k->type ? k : NULL;
}

PyObject *handle_name_of(PyTypeObject *type)
{
    known_type *k = find(type);
    return k ? k->name : NULL;
}

PyObject *handle_type_name(PyTypeObject *type)
{
    PyObject *name = handle_name_of(type);
    if (name)
        return Py_NewRef(name);
    PyObject *module = PyObject_GetAttrString((PyObject *)type, "__module__");
    PyObject *qualname = module ? PyObject_GetAttrString((PyObject *)type, "__qualname__") : NULL;
    if (qualname)
        name = PyUnicode_FromFormat("%S:%S", module, qualname);
    Py_XDECREF(module);
    Py_XDECREF(qualname);
    return name;
}

int handle_take(PyObject *value, handle_state *state)
{
    known_type *k = find(Py_TYPE(value));
    if (!k || !k->encode)
        return 0;
    core_hide();
    state->name = k->name;
    state->members = PyObject_CallOneArg(k->encode, value);
    core_show();
    return state->members ? 1 : -1;
}

static known_type *find_name(PyObject *name)
{
    for (size_t i = 0; i < known_size; i++)
        if (known[i].type && PyUnicode_Compare(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

/* "module:qualname" of a type the boundary was not told of: it must be loaded. */
static PyObject *resolve(PyObject *name)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(name);
    Py_ssize_t colon = PyUnicode_FindChar(name, ':', 0, n, 1);
    if (colon < 0)
        return PyErr_Format(PyExc_LookupError, "the recorded type %U is not known here", name);
    PyObject *module_name = PyUnicode_Substring(name, 0, colon);
    PyObject *module = module_name ? PyImport_GetModule(module_name) : NULL;
    PyObject *found = module;
    while (found && colon < n) {
        Py_ssize_t dot = PyUnicode_FindChar(name, '.', colon + 1, n, 1);
        Py_ssize_t end = dot < 0 ? n : dot;
        PyObject *part = PyUnicode_Substring(name, colon + 1, end);
        PyObject *next = part ? PyObject_GetAttr(found, part) : NULL;
        Py_XDECREF(part);
        Py_SETREF(found, next);
        colon = end;
    }
    if (!found && !PyErr_Occurred())
        PyErr_Format(PyExc_LookupError, "the recorded type %U is not loaded", name);
    Py_XDECREF(module_name);
    return found;
}

PyObject *handle_global_name(PyObject *object)
{
    if (!PyFunction_Check(object) && !PyType_Check(object) && !PyCFunction_Check(object))
        return NULL;
    PyObject *module = PyObject_GetAttrString(object, "__module__");
    PyObject *qualname = module && PyUnicode_Check(module) ? PyObject_GetAttrString(object, "__qualname__") : NULL;
    PyObject *name = qualname ? PyUnicode_FromFormat("%U:%S", module, qualname) : NULL;
    PyObject *found = name ? resolve(name) : NULL;
    if (found != object)
        Py_CLEAR(name);
    PyErr_Clear();
    Py_XDECREF(found);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    return name;
}

PyObject *handle_type(PyObject *name)
{
    known_type *k = find_name(name);
    return k ? Py_NewRef(k->type) : resolve(name);
}

PyObject *handle_make(PyObject *name, PyObject *members, PyObject *self)
{
    known_type *k = find_name(name);
    if (!k || !k->decode)
        return PyErr_Format(PyExc_LookupError, "the recorded handle type %U is not known here", name);
    core_hide();
    PyObject *made = PyObject_CallFunctionObjArgs(k->decode, (PyObject *)k->type, members,
                                                  self ? self : Py_None, NULL);
    core_show();
    return made;
}
