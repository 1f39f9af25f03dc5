#define Py_BUILD_CORE 1 /* the interpreter's lists of hooks */
#include "reference.h"
#include "audit.h"

#include <internal/pycore_interp.h>
#include <structmember.h>

#define MOST_LOOKED_AT 256 /* items: a search must not make callbacks over long lists quadratic */

static Py_ssize_t argument_count(const boundary_call *call)
{
    return call->nargs + (call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0);
}

static int step_to(reference *found, uint32_t depth, uint32_t step)
{
    found->steps[depth] = step;
    found->length = depth + 1;
    return 1;
}

/* What the program has registered with sys.addaudithook and os.register_at_fork: borrowed, or NULL. */
static PyObject *hooks(uint32_t which)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    PyObject *lists[] = {audit_hooks(), interpreter->before_forkers, interpreter->after_forkers_parent};
    return which < sizeof lists / sizeof *lists ? lists[which] : NULL;
}

static int find_hook(PyObject *object, reference *found)
{
    PyObject *list;
    for (uint32_t which = 0; which < 3; which++) {
        if (!(list = hooks(which)) || !PyList_Check(list))
            continue;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
            if (PyList_GET_ITEM(list, i) != object)
                continue;
            step_to(found, 0, which | REFERENCE_REGISTER);
            return step_to(found, 1, (uint32_t)i);
        }
    }
    return 0;
}

static int find_root(const boundary_call *call, PyObject *object, reference *found)
{
    if (object == call->self)
        return step_to(found, 0, 0);
    Py_ssize_t n = argument_count(call);
    for (Py_ssize_t i = 0; i < n; i++)
        if (call->args[i] == object)
            return step_to(found, 0, (uint32_t)i + 1);
    n = call->outcomes ? PyList_GET_SIZE(call->outcomes) : 0;
    for (Py_ssize_t i = n - 1; i >= 0 && i >= n - MOST_LOOKED_AT; i--)
        if (PyList_GET_ITEM(call->outcomes, i) == object)
            return step_to(found, 0, (uint32_t)i | REFERENCE_OUTCOME);
    return 0;
}

/* Attributes of C types that lead to further objects of the program, without doing anything else. */
static struct {
    PyTypeObject *type;
    PyObject *names;
} attributes[8];

static PyObject *attribute_of(PyObject *object, Py_ssize_t index)
{
    size_t i = 0;
    while (i < sizeof attributes / sizeof *attributes && attributes[i].type && attributes[i].type != Py_TYPE(object))
        i++;
    if (i == sizeof attributes / sizeof *attributes || !attributes[i].type || index >= PyTuple_GET_SIZE(attributes[i].names))
        return NULL;
    PyObject *value = PyObject_GetAttr(object, PyTuple_GET_ITEM(attributes[i].names, index));
    if (!value)
        PyErr_Clear();
    Py_XDECREF(value); /* the object holds it, or the program does */
    return value ? value : Py_None;
}

/* The C member of an object, then its attributes that lead on, borrowed; NULL behind the last one. */
static PyObject *member_of(PyObject *object, Py_ssize_t index)
{
    for (PyTypeObject *type = Py_TYPE(object); type; type = type->tp_base)
        for (PyMemberDef *m = type->tp_members; m && m->name; m++) {
            if ((m->type == T_OBJECT || m->type == T_OBJECT_EX) && index-- == 0) {
                PyObject *value = *(PyObject **)((char *)object + m->offset);
                return value ? value : Py_None;
            }
        }
    return attribute_of(object, index);
}

/* The item of a list, a tuple or a dict, or the member of something else, borrowed; NULL behind its end. */
static PyObject *item_of(PyObject *container, Py_ssize_t index)
{
    if (!PyList_CheckExact(container) && !PyTuple_CheckExact(container) && !PyDict_CheckExact(container))
        return member_of(container, index);
    if (PyList_CheckExact(container))
        return index < PyList_GET_SIZE(container) ? PyList_GET_ITEM(container, index) : NULL;
    if (PyTuple_CheckExact(container))
        return index < PyTuple_GET_SIZE(container) ? PyTuple_GET_ITEM(container, index) : NULL;
    PyObject *key, *value = NULL;
    Py_ssize_t at = 0;
    while (index >= 0 && PyDict_Next(container, &at, &key, &value))
        index--;
    return index < 0 ? value : NULL;
}

/* item_of(container, index), for a loop that begins with index 0 and *at 0: each item of a dict is one step. */
static PyObject *next_item(PyObject *container, Py_ssize_t index, Py_ssize_t *at)
{
    PyObject *value = NULL;
    if (!PyDict_CheckExact(container))
        return item_of(container, index);
    return PyDict_Next(container, at, NULL, &value) ? value : NULL;
}

/* Callbacks go through long arguments in order: each search begins where the one before ended. */
static uint32_t hint;

static int find_in(PyObject *container, PyObject *object, uint32_t depth, reference *found, int *left)
{
    if (depth == REFERENCE_STEPS || container == Py_None)
        return 0;
    Py_ssize_t first = depth == 1 && PyList_CheckExact(container) && hint < PyList_GET_SIZE(container) ? hint : 0;
    Py_ssize_t at = 0;
    PyObject *item;
    for (Py_ssize_t i = first; *left > 0 && (item = next_item(container, i, &at)); i++) {
        (*left)--;
        if (item == object || find_in(item, object, depth + 1, found, left)) {
            if (item == object)
                found->length = depth + 1;
            found->steps[depth] = (uint32_t)i;
            if (depth == 1)
                hint = (uint32_t)i;
            return 1;
        }
    }
    return 0;
}

static int find_item(const boundary_call *call, PyObject *object, reference *found)
{
    int left = MOST_LOOKED_AT;
    Py_ssize_t n = argument_count(call);
    if (call->self && find_in(call->self, object, 1, found, &left))
        return found->steps[0] = 0, 1;
    for (int again = 0; again < 2; again++) {
        for (Py_ssize_t i = 0; i < n; i++)
            if (find_in(call->args[i], object, 1, found, &left))
                return found->steps[0] = (uint32_t)i + 1, 1;
        if (!hint)
            break;
        hint = 0;
        left = MOST_LOOKED_AT;
    }
    n = PyList_GET_SIZE(call->outcomes);
    for (Py_ssize_t i = n - 1; i >= 0 && left > 0; i--)
        if (find_in(PyList_GET_ITEM(call->outcomes, i), object, 1, found, &left))
            return found->steps[0] = (uint32_t)i | REFERENCE_OUTCOME, 1;
    return 0;
}

int reference_find(const boundary_call *call, PyObject *object, reference *found)
{
    return find_root(call, object, found) ||
           (call->outcomes && (find_hook(object, found) || find_item(call, object, found)));
}

PyObject *reference_get(const boundary_call *call, const reference *place)
{
    PyObject *found = NULL;
    uint32_t first = place->steps[0];
    if (place->length && call && first & REFERENCE_OUTCOME) {
        first &= ~REFERENCE_OUTCOME;
        found = call->outcomes ? item_of(call->outcomes, first) : NULL;
    } else if (place->length && first & REFERENCE_REGISTER) {
        found = hooks(first & ~REFERENCE_REGISTER);
    } else if (place->length && call) {
        found = first == 0 ? call->self : first <= (size_t)argument_count(call) ? call->args[first - 1] : NULL;
    }
    for (uint32_t i = 1; found && i < place->length; i++)
        found = item_of(found, place->steps[i]);
    if (!found)
        PyErr_SetString(PyExc_ValueError, "a recorded value refers to an object that the call does not have");
    return Py_XNewRef(found);
}

static PyObject *leads_on(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyTypeObject *type;
    PyObject *names;
    if (!PyArg_ParseTuple(args, "O!O!", &PyType_Type, &type, &PyTuple_Type, &names))
        return NULL;
    size_t i = 0;
    while (i < sizeof attributes / sizeof *attributes && attributes[i].type)
        i++;
    if (i == sizeof attributes / sizeof *attributes)
        return PyErr_Format(PyExc_RuntimeError, "too many types with attributes that lead on");
    attributes[i].type = (PyTypeObject *)Py_NewRef(type);
    attributes[i].names = Py_NewRef(names);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"leads_on", leads_on, METH_VARARGS,
     "leads_on(type, names): these attributes of a C type lead to objects that a callback may be given."},
    {0},
};

int reference_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
