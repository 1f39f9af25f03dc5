#define Py_BUILD_CORE 1
#include "render_parts.h"

#include "arena.h"

#include <internal/pycore_dict.h>
#if PY_VERSION_HEX >= 0x030D0000
#include <internal/pycore_setobject.h>
#endif
#include <string.h>

static PyObject *module_name; /* "__module__" */

int render_prepare(void)
{
    if (!module_name)
        module_name = PyUnicode_InternFromString("__module__");
    return module_name && PyObject_Hash(module_name) != -1 ? 0 : -1;
}

static Py_hash_t known_hash(PyObject *text)
{
    return ((PyASCIIObject *)text)->hash;
}

void render_type_name(PyTypeObject *type, rendering *out)
{
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        rendered_text(out, type->tp_name);
        return;
    }
    PyObject *own = type->tp_dict, *name = ((PyHeapTypeObject *)type)->ht_qualname;
    PyObject *module = own && PyDict_CheckExact(own) ? _PyDict_GetItem_KnownHash(own, module_name, known_hash(module_name))
                                                     : NULL;
    if (module && PyUnicode_Check(module) && PyUnicode_CompareWithASCIIString(module, "builtins") != 0) {
        rendered_plain_str(out, module);
        rendered_raw(out, ".", 1);
    }
    if (name && PyUnicode_Check(name))
        rendered_plain_str(out, name);
}

void render_opaque(PyTypeObject *type, rendering *out)
{
    rendered_raw(out, "<", 1);
    render_type_name(type, out);
    rendered_raw(out, ">", 1);
}

bool type_is_opaque(PyTypeObject *type)
{
    static PyTypeObject *const shown[] = {
        &PyBool_Type, &PyLong_Type, &PyUnicode_Type, &PyFloat_Type, &PyComplex_Type, &PyBytes_Type, &PyByteArray_Type,
        &PyList_Type, &PyDict_Type, &PyTuple_Type, &PySet_Type, &PyFrozenSet_Type, &PyFunction_Type,
    };
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (type == shown[i])
            return false;
    return !PyType_FastSubclass(type, Py_TPFLAGS_TYPE_SUBCLASS) && !PyType_FastSubclass(type, Py_TPFLAGS_BASE_EXC_SUBCLASS) &&
           type != Py_TYPE(Py_None) && type != Py_TYPE(Py_Ellipsis) && type != Py_TYPE(Py_NotImplemented);
}

/* --- a walk over what is shown of a container ------------------------------------------------------------- */

/* The items that are shown of a container, in its own order. */
typedef struct {
    PyObject *container;
    Py_ssize_t at;
    int given;
} item_walk;

static Py_ssize_t container_size(PyObject *container)
{
    if (PyDict_CheckExact(container))
        return PyDict_GET_SIZE(container);
    if (PyAnySet_CheckExact(container))
        return PySet_GET_SIZE(container);
    return Py_SIZE(container);
}

/* The next item that is shown (of a dict its key; then *value is set): false when there is none. */
static bool walk_next(item_walk *walk, PyObject **item, PyObject **value)
{
    PyObject *container = walk->container;
    Py_hash_t hash;
    *value = NULL;
    if (walk->given == RENDERED_ITEMS)
        return false;
    walk->given++;
    if (PyDict_CheckExact(container))
        return PyDict_Next(container, &walk->at, item, value);
    if (PyAnySet_CheckExact(container))
        return _PySet_NextEntry(container, &walk->at, item, &hash);
    if (walk->at >= Py_SIZE(container))
        return false;
    *item = PyList_CheckExact(container) ? PyList_GET_ITEM(container, walk->at) : PyTuple_GET_ITEM(container, walk->at);
    walk->at++;
    return *item != NULL;
}

static bool is_container(PyObject *value)
{
    return PyList_CheckExact(value) || PyDict_CheckExact(value) || PyTuple_CheckExact(value) || PyAnySet_CheckExact(value);
}

/* --- rendering -------------------------------------------------------------------------------------------- */

static void render_nested(PyObject *value, rendering *out, int depth);

static const char *opening(PyObject *container, bool is_empty, const char **closing)
{
    *closing = PyList_CheckExact(container) ? "]" : PyTuple_CheckExact(container) ? ")" : "}";
    if (PyAnySet_CheckExact(container) && is_empty) {
        *closing = ")";
        return PyFrozenSet_CheckExact(container) ? "frozenset(" : "set(";
    }
    if (PyFrozenSet_CheckExact(container)) {
        *closing = "})";
        return "frozenset({";
    }
    return PyList_CheckExact(container) ? "[" : PyTuple_CheckExact(container) ? "(" : "{";
}

static void render_container(PyObject *container, rendering *out, int depth)
{
    const char *closing;
    Py_ssize_t size = container_size(container);
    item_walk walk = {container, 0, 0};
    PyObject *item, *value;
    bool is_first = true;
    rendered_text(out, opening(container, size == 0, &closing));
    if (depth == 0 && size > 0) {
        out->cut = true;
        return;
    }
    while (!out->cut && walk_next(&walk, &item, &value)) {
        if (!is_first)
            rendered_raw(out, ", ", 2);
        is_first = false;
        render_nested(item, out, depth - 1);
        if (value) {
            rendered_raw(out, ": ", 2);
            render_nested(value, out, depth - 1);
        }
    }
    out->cut |= size > RENDERED_ITEMS;
    if (size == 1 && PyTuple_CheckExact(container))
        rendered_raw(out, ",", 1);
    rendered_text(out, closing);
}

static void render_exception(PyObject *exception, rendering *out, int depth)
{
    PyObject *args = ((PyBaseExceptionObject *)exception)->args;
    rendered_raw(out, "<", 1);
    render_type_name(Py_TYPE(exception), out);
    rendered_raw(out, "(", 1);
    for (Py_ssize_t i = 0; args && PyTuple_CheckExact(args) && i < PyTuple_GET_SIZE(args) && !out->cut; i++) {
        if (i)
            rendered_raw(out, ", ", 2);
        render_nested(PyTuple_GET_ITEM(args, i), out, depth - 1);
    }
    rendered_raw(out, ")>", 2);
}

static void render_named(const char *what, PyObject *name, rendering *out)
{
    rendered_raw(out, "<", 1);
    rendered_text(out, what);
    if (name && PyUnicode_Check(name)) {
        rendered_raw(out, " ", 1);
        rendered_plain_str(out, name);
    }
    rendered_raw(out, ">", 1);
}

static void render_other(PyObject *value, rendering *out, int depth)
{
    if (PyFunction_Check(value)) {
        render_named("function", ((PyFunctionObject *)value)->func_qualname, out);
    } else if (PyType_Check(value)) {
        rendered_text(out, "<class ");
        render_type_name((PyTypeObject *)value, out);
        rendered_raw(out, ">", 1);
    } else if (PyExceptionInstance_Check(value) && depth > 0) {
        render_exception(value, out, depth);
    } else {
        render_opaque(Py_TYPE(value), out);
    }
}

static void render_nested(PyObject *value, rendering *out, int depth)
{
    if (value == Py_None || value == Py_Ellipsis || value == Py_NotImplemented)
        rendered_text(out, value == Py_None ? "None" : value == Py_Ellipsis ? "Ellipsis" : "NotImplemented");
    else if (PyBool_Check(value))
        rendered_text(out, value == Py_True ? "True" : "False");
    else if (PyLong_CheckExact(value))
        rendered_int(out, value);
    else if (PyUnicode_CheckExact(value))
        rendered_str(out, value);
    else if (PyFloat_CheckExact(value))
        rendered_float(out, PyFloat_AS_DOUBLE(value));
    else if (PyComplex_CheckExact(value))
        rendered_complex(out, ((PyComplexObject *)value)->cval);
    else if (PyBytes_CheckExact(value))
        rendered_bytes(out, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    else if (PyByteArray_CheckExact(value)) {
        rendered_text(out, "bytearray(");
        rendered_bytes(out, PyByteArray_AS_STRING(value), PyByteArray_GET_SIZE(value));
        rendered_raw(out, ")", 1);
    } else if (is_container(value))
        render_container(value, out, depth);
    else
        render_other(value, out, depth);
}

void render_value(PyObject *value, rendering *out)
{
    out->size = 0;
    out->cut = false;
    render_nested(value, out, RENDERED_DEPTH);
}

bool value_is_atom(PyObject *value)
{
    return value == Py_None || value == Py_Ellipsis || value == Py_NotImplemented || PyBool_Check(value) ||
           PyLong_CheckExact(value) || PyUnicode_CheckExact(value) || PyFloat_CheckExact(value) ||
           PyComplex_CheckExact(value) || PyBytes_CheckExact(value);
}

/* --- fingerprints ----------------------------------------------------------------------------------------- */

static uint64_t of_bytes(const void *bytes, size_t size, uint64_t seed)
{
    const unsigned char *at = bytes;
    uint64_t word, hash = seed ^ size * 0x9E3779B97F4A7C15u;
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = mix_word(hash ^ word) * 31;
    }
    for (word = 0; size > 0; size--)
        word = word << 8 | at[size - 1];
    return mix_word(hash ^ word);
}

static uint64_t of_str(PyObject *text)
{
    size_t shown = (size_t)PyUnicode_GET_LENGTH(text), kind = (size_t)PyUnicode_KIND(text);
    bool is_cut = shown > RENDERED_BYTES;
    return of_bytes(PyUnicode_DATA(text), (is_cut ? RENDERED_BYTES : shown) * kind, 3 + kind + (is_cut ? 64 : 0));
}

static uint64_t of_long(PyObject *number)
{
    rendering out = {.size = 0};
    rendered_int(&out, number);
    return of_bytes(out.bytes, out.size, 5);
}

static uint64_t of_nested(PyObject *value, bool *changeable, int depth);

/* A key of a dict, which has been hashed. */
static uint64_t of_key(PyObject *key, bool *changeable, int depth)
{
    bool is_short_str = PyUnicode_CheckExact(key) && PyUnicode_GET_LENGTH(key) <= RENDERED_BYTES;
    return is_short_str ? (uint64_t)known_hash(key) : of_nested(key, changeable, depth);
}

/* The first items of a list or tuple: most of what is compared at every line. */
static uint64_t of_sequence(PyObject *const *items, Py_ssize_t size, uint64_t hash, bool *changeable, int depth)
{
    Py_ssize_t shown = size > RENDERED_ITEMS ? RENDERED_ITEMS : size;
    for (Py_ssize_t i = 0; i < shown && items[i]; i++) {
        int64_t small;
        uint64_t item = is_small_int(items[i], &small) ? (uint64_t)small ^ 0x1234567 : of_nested(items[i], changeable, depth);
        hash = ((hash << 23 | hash >> 41) ^ item) * 0x9E3779B97F4A7C15u;
    }
    return mix_word(hash);
}

static uint64_t of_container(PyObject *value, bool *changeable, int depth)
{
    item_walk walk = {value, 0, 0};
    PyObject *item, *held;
    Py_ssize_t size = container_size(value);
    uint64_t hash = (uint64_t)(uintptr_t)Py_TYPE(value) ^ (uint64_t)(size > RENDERED_ITEMS ? -1 : size);
    *changeable |= !PyTuple_CheckExact(value) && !PyFrozenSet_CheckExact(value);
    if (depth == 0)
        return hash ^ (size > 0);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
        return of_sequence(PySequence_Fast_ITEMS(value), size, hash, changeable, depth - 1);
    while (walk_next(&walk, &item, &held)) {
        hash = mix_word(hash * 31 ^ (held ? of_key : of_nested)(item, changeable, depth - 1));
        if (held)
            hash = mix_word(hash * 37 ^ of_nested(held, changeable, depth - 1));
    }
    return hash;
}

static uint64_t of_nested(PyObject *value, bool *changeable, int depth)
{
    int64_t small;
    if (is_small_int(value, &small))
        return mix_word((uint64_t)small ^ 0x1234567);
    if (PyFloat_CheckExact(value))
        return of_bytes(&((PyFloatObject *)value)->ob_fval, sizeof(double), 2);
    if (PyUnicode_CheckExact(value))
        return of_str(value);
    if (PyLong_CheckExact(value))
        return of_long(value);
    if (PyBytes_CheckExact(value) || PyByteArray_CheckExact(value)) {
        bool is_array = PyByteArray_CheckExact(value);
        Py_ssize_t size = Py_SIZE(value);
        *changeable |= is_array;
        return of_bytes(is_array ? PyByteArray_AS_STRING(value) : PyBytes_AS_STRING(value),
                        (size_t)(size > RENDERED_BYTES ? RENDERED_BYTES : size), is_array ? 7 : 8) + (size > RENDERED_BYTES);
    }
    if (PyComplex_CheckExact(value))
        return of_bytes(&((PyComplexObject *)value)->cval, sizeof(Py_complex), 9);
    if (is_container(value))
        return of_container(value, changeable, depth);
    if (PyExceptionInstance_Check(value) && depth > 0) {
        PyObject *args = ((PyBaseExceptionObject *)value)->args;
        return (uintptr_t)Py_TYPE(value) ^ (args ? of_nested(args, changeable, depth) : 0);
    }
    if (PyFunction_Check(value))
        return (uintptr_t)((PyFunctionObject *)value)->func_qualname ^ 11;
    bool is_singleton = value == Py_None || value == Py_Ellipsis || value == Py_NotImplemented || PyBool_Check(value);
    return is_singleton || PyType_Check(value) ? (uintptr_t)value : (uintptr_t)Py_TYPE(value);
}

uint64_t value_fingerprint(PyObject *value, bool *changeable)
{
    return of_nested(value, changeable, RENDERED_DEPTH);
}

bool value_is_mutable(PyObject *value)
{
    bool changeable = false;
    if (PyList_CheckExact(value) || PyDict_CheckExact(value) || PySet_CheckExact(value) || PyByteArray_CheckExact(value))
        return true;
    if (PyTuple_CheckExact(value) || PyFrozenSet_CheckExact(value))
        of_nested(value, &changeable, RENDERED_DEPTH);
    return changeable;
}
