/* What of the program is being entered from inside a boundary call, in words that replay understands. */
#include "entering.h"

#include "handle.h"
#include "reference.h"

#include <string.h>

static PyObject *method_of(PyObject *object, PyObject *name)
{
    return _PyType_Lookup(Py_TYPE(object), name);
}

/* Is there a bound method of this function and object among the arguments? Borrowed. */
static PyObject *bound_among(const boundary_call *call, PyObject *function, PyObject *self)
{
    Py_ssize_t n = call->nargs + (call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *method = call->args[i];
        if (PyMethod_Check(method) && PyMethod_GET_FUNCTION(method) == function && PyMethod_GET_SELF(method) == self)
            return method;
    }
    return NULL;
}

/* A function of a module. A method would need its object, and a copy is not the object. */
static bool identify_global(PyObject *function, entering_target *found)
{
    PyObject *qualname = ((PyFunctionObject *)function)->func_qualname;
    PyObject *name = PyUnicode_FindChar(qualname, '.', 0, PyUnicode_GET_LENGTH(qualname), 1) < 0
                         ? handle_global_name(function) : NULL;
    *found = (entering_target){function, NULL, NULL, 0};
    Py_XDECREF(name);
    return name != NULL;
}

static bool identify_function(const boundary_call *call, const frame_entry *entry, entering_target *found)
{
    reference place;
    PyObject *function = (PyObject *)entry->function, *name = entry->function->func_name;
    PyObject *first = entry->code->co_argcount ? entry->locals[0] : NULL;
    if (first && reference_find(call, first, &place) && method_of(first, name) == function)
        *found = (entering_target){first, name, NULL, 1};
    else if (reference_find(call, function, &place))
        *found = (entering_target){function, NULL, NULL, 0};
    else if (first && (found->object = bound_among(call, function, first)))
        *found = (entering_target){found->object, NULL, NULL, 1};
    else if (first && strcmp(PyUnicode_AsUTF8(name), "__init__") == 0 && method_of(first, name) == function &&
             reference_find(call, (PyObject *)Py_TYPE(first), &place))
        *found = (entering_target){(PyObject *)Py_TYPE(first), NULL, first, 1};
    else
        return identify_global(function, found);
    return true;
}

bool entering_identify(const boundary_call *call, const frame_entry *entry, int throwing, entering_target *found)
{
    static PyObject *next;
    reference place;
    if (!next && !(next = PyUnicode_InternFromString("__next__")))
        return false;
    if (entry->function)
        return identify_function(call, entry, found);
    if (!entry->generator || throwing || (entry->sent && entry->sent != Py_None) ||
        !reference_find(call, entry->generator, &place))
        return false;
    *found = (entering_target){entry->generator, next, NULL, 0};
    return true;
}

PyObject *entering_arguments(const frame_entry *entry, Py_ssize_t skip)
{
    PyCodeObject *code = entry->code;
    Py_ssize_t positional = code->co_argcount, named = code->co_kwonlyargcount, at = positional + named;
    bool star = code->co_flags & CO_VARARGS, stars = code->co_flags & CO_VARKEYWORDS;
    PyObject *rest = star ? entry->locals[at] : NULL;
    Py_ssize_t nrest = rest ? PyTuple_GET_SIZE(rest) : 0;
    PyObject *args = PyTuple_New(positional - skip + nrest);
    PyObject *kwargs = stars ? PyDict_Copy(entry->locals[at + star]) : PyDict_New();
    for (Py_ssize_t i = skip; args && i < positional; i++)
        PyTuple_SET_ITEM(args, i - skip, Py_NewRef(entry->locals[i]));
    for (Py_ssize_t i = 0; args && i < nrest; i++)
        PyTuple_SET_ITEM(args, positional - skip + i, Py_NewRef(PyTuple_GET_ITEM(rest, i)));
    PyObject *names = named ? PyCode_GetVarnames(code) : NULL;
    for (Py_ssize_t i = positional; names && kwargs && i < positional + named; i++)
        if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(names, i), entry->locals[i]) < 0)
            Py_CLEAR(kwargs);
    PyObject *both = args && kwargs ? PyTuple_Pack(2, args, PyDict_GET_SIZE(kwargs) ? kwargs : Py_None) : NULL;
    Py_XDECREF(names);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return both;
}

/* --- functions that C code of CPython's calls ---------------------------------------------------- */

static bool is_function(const frame_entry *entry, const char *module, const char *qualname)
{
    PyObject *home = entry->function ? entry->function->func_module : NULL;
    return home && PyUnicode_Check(home) && PyUnicode_CompareWithASCIIString(home, module) == 0 &&
           PyUnicode_CompareWithASCIIString(entry->function->func_qualname, qualname) == 0;
}

bool entering_codec(const frame_entry *entry)
{
    return is_function(entry, "encodings", "search_function") && entry->code->co_argcount == 1;
}

bool entering_host_name(const frame_entry *entry)
{
    return is_function(entry, "encodings.idna", "Codec.encode") || is_function(entry, "encodings.idna", "Codec.decode");
}

PyObject *entering_find_codec(PyObject *name)
{
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    if (text)
        PyCodec_KnownEncoding(text);
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* --- warnings ------------------------------------------------------------------------------------- */

bool entering_is_part_of_warning(const frame_entry *entry)
{
    return is_function(entry, "warnings", "WarningMessage.__init__");
}

PyObject *entering_warning(const frame_entry *entry)
{
    static const char *const names[] = {"message", "category", "filename", "lineno", "file", "line", "source"};
    enum { FIELDS = sizeof names / sizeof *names };
    if (!is_function(entry, "warnings", "_showwarnmsg") || entry->code->co_argcount != 1)
        return NULL;
    PyObject *args = PyTuple_New(FIELDS);
    for (int i = 0; args && i < FIELDS; i++) {
        PyObject *value = PyObject_GetAttrString(entry->locals[0], names[i]);
        if (value)
            PyTuple_SET_ITEM(args, i, value);
        else
            Py_CLEAR(args);
    }
    return args;
}

PyObject *entering_warn(PyObject *args)
{
    PyObject *warnings = PyImport_ImportModule("warnings");
    PyObject *kind = warnings ? PyObject_GetAttrString(warnings, "WarningMessage") : NULL;
    PyObject *show = kind ? PyObject_GetAttrString(warnings, "_showwarnmsg") : NULL;
    core_hide();
    PyObject *message = show ? PyObject_Call(kind, args, NULL) : NULL;
    core_show();
    PyObject *result = message ? PyObject_CallOneArg(show, message) : NULL;
    Py_XDECREF(message);
    Py_XDECREF(show);
    Py_XDECREF(kind);
    Py_XDECREF(warnings);
    return result;
}

bool entering_from_compiler(const frame_entry *entry)
{
    return entering_codec(entry) || entering_is_part_of_warning(entry) || is_function(entry, "warnings", "_showwarnmsg");
}
