/* Exchanges the definitions of builtin functions, methods and attributes, and calls what was there before. */
#include "patching.h"
#include "hidden.h"
#include "slots.h"
#include "trampolines.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <structmember.h>

/* --- calling what was there before ------------------------------------------------------------- */

static int no_keywords(const PyMethodDef *def, const boundary_call *call)
{
    if (!call->kwnames || PyTuple_GET_SIZE(call->kwnames) == 0)
        return 0;
    PyErr_Format(PyExc_TypeError, "%.200s() takes no keyword arguments", def->ml_name);
    return -1;
}

static int wants_exactly(const PyMethodDef *def, const boundary_call *call, Py_ssize_t n, const char *words)
{
    if (no_keywords(def, call) < 0)
        return -1;
    if (call->nargs == n)
        return 0;
    PyErr_Format(PyExc_TypeError, "%.200s() takes %s (%zd given)", def->ml_name, words, call->nargs);
    return -1;
}

static PyObject *call_with_tuple(const PyMethodDef *def, const boundary_call *call)
{
    if (!(def->ml_flags & METH_KEYWORDS) && no_keywords(def, call) < 0)
        return NULL;
    PyObject *args = boundary_args(call);
    PyObject *kwargs = args ? boundary_kwargs(call) : NULL;
    PyObject *result = NULL;
    if (args && !PyErr_Occurred()) {
        if (def->ml_flags & METH_KEYWORDS)
            result = ((PyCFunctionWithKeywords)(void (*)(void))def->ml_meth)(call->self, args, kwargs);
        else
            result = def->ml_meth(call->self, args);
    }
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

static PyObject *original_method(boundary_entry *entry, const boundary_call *call)
{
    const PyMethodDef *def = entry->was.method;
    void (*function)(void) = (void (*)(void))def->ml_meth;
    switch (def->ml_flags & (METH_VARARGS | METH_FASTCALL | METH_NOARGS | METH_O | METH_KEYWORDS | METH_METHOD)) {
    case METH_NOARGS:
        return wants_exactly(def, call, 0, "no arguments") < 0 ? NULL : def->ml_meth(call->self, NULL);
    case METH_O:
        return wants_exactly(def, call, 1, "exactly one argument") < 0 ? NULL : def->ml_meth(call->self, call->args[0]);
    case METH_FASTCALL:
        return no_keywords(def, call) < 0 ? NULL : ((_PyCFunctionFast)function)(call->self, call->args, call->nargs);
    case METH_FASTCALL | METH_KEYWORDS:
        return ((_PyCFunctionFastWithKeywords)function)(call->self, call->args, call->nargs, call->kwnames);
    case METH_METHOD | METH_FASTCALL | METH_KEYWORDS:
        return ((PyCMethod)function)(call->self, entry->type, call->args, (size_t)call->nargs, call->kwnames);
    default:
        return call_with_tuple(def, call);
    }
}

static PyObject *original_getter(boundary_entry *entry, const boundary_call *call)
{
    return entry->was.getset->get(call->self, entry->was.getset->closure);
}

static PyObject *original_setter(boundary_entry *entry, const boundary_call *call)
{
    int failed = entry->was.getset->set(call->self, call->nargs ? call->args[0] : NULL, entry->was.getset->closure);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *original_function(boundary_entry *entry, const boundary_call *call)
{
    Py_ssize_t named = call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0;
    PyObject *small[8], **args = small;
    Py_ssize_t n = call->nargs + named + 1;
    if (n > 8 && !(args = PyMem_Malloc((size_t)n * sizeof *args)))
        return PyErr_NoMemory();
    args[0] = call->self;
    memcpy(args + 1, call->args, (size_t)(n - 1) * sizeof *args);
    PyObject *result = PyObject_Vectorcall(entry->was.function, args, (size_t)call->nargs + 1, call->kwnames);
    if (args != small)
        PyMem_Free(args);
    return result;
}

/* --- exchanging definitions ---------------------------------------------------------------------------------- */

static PyObject *patched_getter(PyObject *self, void *closure)
{
    const boundary_call call = {self, NULL, 0, NULL};
    return boundary_dispatch(closure, &call);
}

/* From 3.13 on CPython makes a signature of the flags where the documentation has none. Ours are other flags: the
 * documentation gets that signature, in the form in which C code keeps it. Lives as long as the process. */
static const char *signed_doc(const char *name, const char *doc, int flags)
{
    static const struct { int flags; const char *signature; } known[] = {
        {METH_NOARGS, "($self, /)"}, {METH_NOARGS | METH_CLASS, "($type, /)"}, {METH_NOARGS | METH_STATIC, "()"},
        {METH_O, "($self, object, /)"}, {METH_O | METH_CLASS, "($type, object, /)"}, {METH_O | METH_STATIC, "(object, /)"},
    };
    size_t i = 0, n = strlen(name);
    while (i < sizeof known / sizeof *known && known[i].flags != (flags & ~METH_COEXIST))
        i++;
    if (PY_VERSION_HEX < 0x030D0000 || i == sizeof known / sizeof *known)
        return doc;
    if (doc && strncmp(doc, name, n) == 0 && doc[n] == '(' && strstr(doc, ")\n--\n\n"))
        return doc;
    size_t size = n + strlen(known[i].signature) + strlen(doc ? doc : "") + 8;
    char *made = PyMem_Malloc(size);
    if (!made)
        return doc;
    snprintf(made, size, "%s%s\n--\n\n%s", name, known[i].signature, doc ? doc : "");
    return made;
}

static void fill_definition(boundary_entry *entry, const char *name, const char *doc, int keep)
{
    entry->def.ml_name = name;
    entry->def.ml_meth = (PyCFunction)(void (*)(void))trampolines[entry->id];
    entry->def.ml_flags = METH_FASTCALL | METH_KEYWORDS | (keep & (METH_STATIC | METH_CLASS | METH_COEXIST));
    entry->def.ml_doc = signed_doc(name, doc, keep);
}

static int patch_function(boundary_entry *entry, PyCFunctionObject *function)
{
    PyMethodDef *was = function->m_ml;
    fill_definition(entry, was->ml_name, was->ml_doc, was->ml_flags);
    PyObject *sample = PyCFunction_NewEx(&entry->def, NULL, NULL);
    if (!sample)
        return -1;
    entry->was.method = was;
    entry->original = original_method;
    entry->type = (was->ml_flags & METH_METHOD) ? ((PyCMethodObject *)function)->mm_class : NULL;
    function->m_ml = &entry->def;
    function->vectorcall = ((PyCFunctionObject *)sample)->vectorcall;
    Py_DECREF(sample);
    return 0;
}

static int patch_method(boundary_entry *entry, PyMethodDescrObject *method)
{
    PyMethodDef *was = method->d_method;
    fill_definition(entry, was->ml_name, was->ml_doc, was->ml_flags);
    PyObject *sample = Py_IS_TYPE(method, &PyMethodDescr_Type) ? PyDescr_NewMethod(PyDescr_TYPE(method), &entry->def) : NULL;
    if (!sample && PyErr_Occurred())
        return -1;
    entry->was.method = was;
    entry->original = original_method;
    entry->type = PyDescr_TYPE(method);
    method->d_method = &entry->def;
    if (sample)
        method->vectorcall = ((PyMethodDescrObject *)sample)->vectorcall;
    Py_XDECREF(sample);
    PyType_Modified(PyDescr_TYPE(method));
    return 0;
}

static PyObject *unpatched_getter(PyObject *self, void *closure)
{
    const PyGetSetDef *was = ((const boundary_entry *)closure)->was.getset;
    return was->get(self, was->closure);
}

static int unpatched_setter(PyObject *self, PyObject *value, void *closure)
{
    const PyGetSetDef *was = ((const boundary_entry *)closure)->was.getset;
    return was->set(self, value, was->closure);
}

static int patched_setter(PyObject *self, PyObject *value, void *closure)
{
    const boundary_call call = {self, &value, value != NULL, NULL};
    PyObject *result = boundary_dispatch(closure, &call);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* Getting an attribute crosses, or `setting` it; the other one stays as it was. */
static int patch_attribute(boundary_entry *entry, PyGetSetDescrObject *attribute, bool setting)
{
    const PyGetSetDef *was = entry->was.getset = attribute->d_getset;
    entry->original = setting ? original_setter : original_getter;
    entry->type = PyDescr_TYPE(attribute);
    entry->getset = *was;
    entry->getset.get = !was->get ? NULL : setting ? unpatched_getter : patched_getter;
    entry->getset.set = !was->set ? NULL : setting ? patched_setter : unpatched_setter;
    entry->getset.closure = entry;
    attribute->d_getset = &entry->getset;
    PyType_Modified(PyDescr_TYPE(attribute));
    return 0;
}

/* A function that Cython made: a builtin function under another type, which calls what its definition says. */
static bool is_cython(PyObject *target)
{
    const char *dot = strrchr(Py_TYPE(target)->tp_name, '.'), *name = dot ? dot + 1 : Py_TYPE(target)->tp_name;
    return strcmp(name, "cython_function_or_method") == 0;
}

/* The builtin function in it: it begins as one, or, where Cython keeps to the stable interface, with a reference to
 * one. A definition begins with its name and its C function, an object with its count and its type. */
static PyCFunctionObject *cython_builtin(PyObject *function)
{
    PyCFunctionObject *builtin = (PyCFunctionObject *)function;
    PyObject *inner = (PyObject *)builtin->m_ml;
    return inner && Py_TYPE(inner) == &PyCFunction_Type ? (PyCFunctionObject *)inner : builtin;
}

/* Where such a function keeps how it is called; NULL: nowhere, its type decides. */
static vectorcallfunc *cython_call(PyObject *function)
{
    PyTypeObject *type = Py_TYPE(function);
    if (!PyType_HasFeature(type, Py_TPFLAGS_HAVE_VECTORCALL) || type->tp_vectorcall_offset <= 0)
        return NULL;
    return (vectorcallfunc *)(void *)((char *)function + type->tp_vectorcall_offset);
}

/* How functions are called that have the flags of a trampoline: as one among the neighbours of `function` in `owner` is.
 * NULL: there is none. */
static vectorcallfunc cython_fastcall(PyObject *owner, PyObject *function)
{
    PyObject *names = PyType_Check(owner) ? ((PyTypeObject *)owner)->tp_dict : PyModule_GetDict(owner), *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(names, &at, &key, &value)) {
        if (Py_IS_TYPE(value, Py_TYPE(function)) &&
            cython_builtin(value)->m_ml->ml_flags == (METH_FASTCALL | METH_KEYWORDS))
            return *cython_call(value);
    }
    return NULL;
}

static int patch_cython(boundary_entry *entry, PyObject *function, PyObject *owner)
{
    PyCFunctionObject *builtin = cython_builtin(function);
    PyMethodDef *was = builtin->m_ml;
    if (was->ml_flags != (METH_FASTCALL | METH_KEYWORDS)) {
        vectorcallfunc *here = cython_call(function), call = here ? cython_fastcall(owner, function) : NULL;
        if (!call) {
            PyErr_Format(PyExc_TypeError, "%.200s has another calling convention", was->ml_name);
            return -1;
        }
        *here = call;
    }
    fill_definition(entry, was->ml_name, was->ml_doc, was->ml_flags);
    entry->was.method = was;
    entry->original = original_method;
    builtin->m_ml = &entry->def;
    return 0;
}

/* A Python function that is a method of `type` becomes a C method of the same name. */
static int patch_python(boundary_entry *entry, PyTypeObject *type, PyObject *function, const char *name)
{
    fill_definition(entry, name, NULL, 0);
    entry->original = original_function;
    entry->is_python = true;
    entry->was.function = Py_NewRef(function);
    entry->type = type;
    PyObject *method = PyDescr_NewMethod(type, &entry->def);
    int failed = method ? PyObject_SetAttrString((PyObject *)type, name, method) : -1;
    Py_XDECREF(method);
    return failed;
}

int patching_exchange(boundary_entry *entry, PyObject *target, PyObject *owner, const char *slot)
{
    if (is_cython(target))
        return patch_cython(entry, target, owner);
    if (PyCFunction_Check(target) && strcmp(slot, "__new__") != 0)
        return patch_function(entry, (PyCFunctionObject *)target);
    if (Py_IS_TYPE(target, &PyMethodDescr_Type) || Py_IS_TYPE(target, &PyClassMethodDescr_Type))
        return patch_method(entry, (PyMethodDescrObject *)target);
    if (Py_IS_TYPE(target, &PyGetSetDescr_Type))
        return patch_attribute(entry, (PyGetSetDescrObject *)target, strchr(slot, '=') != NULL);
    if (PyFunction_Check(target) && PyType_Check(owner))
        return patch_python(entry, (PyTypeObject *)owner, target, slot);
    if (PyType_Check(owner))
        return slots_patch(entry, (PyTypeObject *)owner, slot);
    PyErr_Format(PyExc_TypeError, "a %.100s cannot be put behind the boundary", Py_TYPE(target)->tp_name);
    return -1;
}
