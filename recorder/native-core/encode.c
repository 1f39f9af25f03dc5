#include "encode.h"
#include "handle.h"
#include "reference.h"

#include <string.h>
#include <structmember.h>

#define MOST_DEPTH 200

static PyObject *pickler;

void encode_set_pickler(PyObject *dumps)
{
    Py_XINCREF(dumps);
    Py_XSETREF(pickler, dumps);
}

/* --- values ----------------------------------------------------------------------------------- */

static inline void tag(record_writer *w, char c)
{
    write_bytes(w, &c, 1);
}

static void tagged(record_writer *w, char c, const void *data, size_t n)
{
    if (n > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a value over 4 GiB cannot be recorded");
        w->failed = 1;
        return;
    }
    if (record_room(w, n + 5)) {
        uint32_t size = (uint32_t)n;
        w->p[0] = c;
        memcpy(w->p + 1, &size, 4);
        memcpy(w->p + 5, data, n);
        w->p += n + 5;
    }
}

static void encode_int(record_writer *w, PyObject *value)
{
    int overflow;
    long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow) {
        if (record_room(w, 9)) {
            w->p[0] = 'i';
            memcpy(w->p + 1, &n, 8);
            w->p += 9;
        }
        return;
    }
    size_t bits = _PyLong_NumBits(value);
    size_t bytes = bits / 8 + 1;
    unsigned char *buffer = malloc(bytes);
    if (!buffer) {
        PyErr_NoMemory();
        w->failed = 1;
        return;
    }
#if PY_VERSION_HEX >= 0x030D0000
    int failed = _PyLong_AsByteArray((PyLongObject *)value, buffer, bytes, 1, 1, 1);
#else
    int failed = _PyLong_AsByteArray((PyLongObject *)value, buffer, bytes, 1, 1);
#endif
    if (failed < 0)
        w->failed = 1;
    else
        tagged(w, 'I', buffer, bytes);
    free(buffer);
}

static void encode_str(record_writer *w, PyObject *value)
{
    if (PyUnicode_IS_COMPACT_ASCII(value)) {
        tagged(w, 's', PyUnicode_1BYTE_DATA(value), (size_t)PyUnicode_GET_LENGTH(value));
        return;
    }
    PyObject *utf8 = PyUnicode_AsEncodedString(value, "utf-8", "surrogatepass");
    if (!utf8) {
        w->failed = 1;
        return;
    }
    tagged(w, 's', PyBytes_AS_STRING(utf8), (size_t)PyBytes_GET_SIZE(utf8));
    Py_DECREF(utf8);
}

static void encode_depth(record_writer *w, PyObject *value, const boundary_call *call, int depth);

static void encode_items(record_writer *w, char c, PyObject *const *items, Py_ssize_t n,
                         const boundary_call *call, int depth)
{
    tag(w, c);
    write_count(w, (uint32_t)n);
    for (Py_ssize_t i = 0; i < n && !w->failed; i++)
        encode_depth(w, items[i], call, depth + 1);
}

static void encode_dict(record_writer *w, PyObject *dict, const boundary_call *call, int depth)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    tag(w, '{');
    write_count(w, (uint32_t)PyDict_GET_SIZE(dict));
    while (!w->failed && PyDict_Next(dict, &at, &key, &value)) {
        encode_depth(w, key, call, depth + 1);
        encode_depth(w, value, call, depth + 1);
    }
}

static void encode_set(record_writer *w, PyObject *set, const boundary_call *call, int depth)
{
    PyObject *items = PySequence_List(set);
    if (!items) {
        w->failed = 1;
        return;
    }
    encode_items(w, PyFrozenSet_CheckExact(set) ? '>' : '<', ((PyListObject *)items)->ob_item,
                 PyList_GET_SIZE(items), call, depth);
    Py_DECREF(items);
}

/* A struct sequence keeps more items than it shows; all are kept. */
static int encode_structseq(record_writer *w, PyObject *value, const boundary_call *call, int depth)
{
    PyObject *n = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "n_fields");
    if (!n) {
        PyErr_Clear();
        return 0;
    }
    Py_ssize_t fields = PyLong_Check(n) ? PyLong_AsSsize_t(n) : -1;
    Py_DECREF(n);
    if (fields < PyTuple_GET_SIZE(value) || !handle_name_of(Py_TYPE(value)))
        return 0;
    PyObject *name = handle_name_of(Py_TYPE(value));
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(name, &size);
    tagged(w, 'S', text, (size_t)size);
    write_count(w, (uint32_t)fields);
    for (Py_ssize_t i = 0; i < fields && !w->failed; i++) {
        PyObject *item = ((PyTupleObject *)value)->ob_item[i];
        encode_depth(w, item ? item : Py_None, call, depth + 1);
    }
    return 1;
}

static int encode_reference(record_writer *w, PyObject *value, const boundary_call *call)
{
    reference found;
    if (!reference_find(call, value, &found))
        return 0;
    if (found.length == 1 && !(found.steps[0] & REFERENCE_OUTCOME)) {
        tag(w, 'A');
    } else {
        tag(w, 'p');
        write_count(w, found.length);
    }
    write_bytes(w, found.steps, found.length * sizeof *found.steps);
    return 1;
}

static void encode_pickle(record_writer *w, PyObject *value)
{
    if (!pickler || w->plain) {
        PyErr_Format(PyExc_TypeError, "a value of type %.200s cannot be recorded", Py_TYPE(value)->tp_name);
        w->failed = 1;
        return;
    }
    core_hide();
    PyObject *bytes = PyObject_CallOneArg(pickler, value);
    core_show();
    if (!bytes || !PyBytes_Check(bytes)) {
        if (bytes)
            PyErr_SetString(PyExc_TypeError, "the pickler returned no bytes");
        w->failed = 1;
    } else {
        tagged(w, 'P', PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    }
    Py_XDECREF(bytes);
}

static void encode_object(record_writer *w, PyObject *value, const boundary_call *call, int depth)
{
    PyTypeObject *type = Py_TYPE(value);
    if (PyTuple_Check(value) && type->tp_base == &PyTuple_Type && encode_structseq(w, value, call, depth))
        return;
    if (PyExceptionInstance_Check(value)) {
        encode_exception(w, value, call);
        return;
    }
    PyObject *global = handle_global_name(value);
    if (global) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(global, &size);
        tagged(w, 'g', text, (size_t)size);
        Py_DECREF(global);
        return;
    }
    handle_state state;
    int found = handle_take(value, &state);
    if (found < 0) {
        w->failed = 1;
    } else if (found) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(state.name, &size);
        tagged(w, 'H', text, (size_t)size);
        encode_depth(w, state.members, call, depth + 1);
        Py_DECREF(state.members);
    } else {
        encode_pickle(w, value);
    }
}

static void encode_depth(record_writer *w, PyObject *value, const boundary_call *call, int depth)
{
    if (w->failed)
        return;
    if (depth > MOST_DEPTH) {
        encode_pickle(w, value);
        return;
    }
    PyTypeObject *type = Py_TYPE(value);
    if (value == Py_None) {
        tag(w, 'N');
    } else if (type == &PyLong_Type) {
        encode_int(w, value);
    } else if (type == &PyFloat_Type) {
        double d = PyFloat_AS_DOUBLE(value);
        if (record_room(w, 9)) {
            w->p[0] = 'f';
            memcpy(w->p + 1, &d, 8);
            w->p += 9;
        }
    } else if (type == &PyUnicode_Type) {
        encode_str(w, value);
    } else if (type == &PyBytes_Type) {
        tagged(w, 'b', PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    } else if (type == &PyBool_Type) {
        tag(w, value == Py_True ? 'T' : 'F');
    } else if (call && encode_reference(w, value, call)) {
        return;
    } else if (type == &PyTuple_Type) {
        encode_items(w, '(', ((PyTupleObject *)value)->ob_item, PyTuple_GET_SIZE(value), call, depth);
    } else if (type == &PyList_Type) {
        encode_items(w, '[', ((PyListObject *)value)->ob_item, PyList_GET_SIZE(value), call, depth);
    } else if (type == &PyDict_Type) {
        encode_dict(w, value, call, depth);
    } else if (type == &PySet_Type || type == &PyFrozenSet_Type) {
        encode_set(w, value, call, depth);
    } else if (type == &PyByteArray_Type) {
        tagged(w, 'B', PyByteArray_AS_STRING(value), (size_t)PyByteArray_GET_SIZE(value));
    } else if (type == &PyComplex_Type) {
        Py_complex c = PyComplex_AsCComplex(value);
        tag(w, 'c');
        write_bytes(w, &c, 16);
    } else {
        encode_object(w, value, call, depth);
    }
}

void encode_value(record_writer *w, PyObject *value, const boundary_call *call)
{
    encode_depth(w, value, call, 0);
}

/* --- exceptions ------------------------------------------------------------------------------- */

/* What rebuilds an OSError: its args leave out the file names. A new reference. */
static PyObject *oserror_args(PyOSErrorObject *e)
{
    if (e->myerrno && e->strerror && e->filename) {
        if (e->filename2)
            return PyTuple_Pack(5, e->myerrno, e->strerror, e->filename, Py_None, e->filename2);
        return PyTuple_Pack(3, e->myerrno, e->strerror, e->filename);
    }
    return Py_NewRef(e->args);
}

/* What the args do not rebuild: its own attributes, the members that its C types add, its cause. A new reference: a
 * dict, or None. */
static PyObject *exception_state(PyObject *error, const boundary_call *call)
{
    reference place;
    PyBaseExceptionObject *base = (PyBaseExceptionObject *)error;
    PyObject *state = base->dict ? PyDict_Copy(base->dict) : PyDict_New();
    int failed = !state;
    for (PyTypeObject *t = Py_TYPE(error); !failed && t != (PyTypeObject *)PyExc_BaseException; t = t->tp_base) {
        int rebuilt = t == (PyTypeObject *)PyExc_OSError || t == (PyTypeObject *)PyExc_StopIteration;
        for (PyMemberDef *m = rebuilt ? NULL : t->tp_members; !failed && m && m->name; m++) {
            PyObject *value = m->type == T_OBJECT ? *(PyObject **)((char *)error + m->offset) : NULL;
            int any_object = strcmp(m->name, "obj") == 0; /* of an AttributeError: kept only when it needs no copy */
            if (value && value != Py_None && (!any_object || (call && reference_find(call, value, &place))))
                failed = PyDict_SetItemString(state, m->name, value) < 0;
        }
    }
    if (!failed && base->cause)
        failed = PyDict_SetItemString(state, "__cause__", base->cause) < 0;
    if (!failed && base->suppress_context)
        failed = PyDict_SetItemString(state, "__suppress_context__", Py_True) < 0;
    if (failed)
        Py_CLEAR(state);
    return state && !PyDict_GET_SIZE(state) ? (Py_DECREF(state), Py_NewRef(Py_None)) : state;
}

/* The file name in an OSError is the very object that the program gave. */
static void encode_exception_args(record_writer *w, PyObject *args, const boundary_call *call)
{
    tag(w, '(');
    write_count(w, (uint32_t)PyTuple_GET_SIZE(args));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args) && !w->failed; i++) {
        PyObject *item = PyTuple_GET_ITEM(args, i);
        int text = PyUnicode_CheckExact(item) || PyBytes_CheckExact(item);
        if (!text || !call || !encode_reference(w, item, call))
            encode_depth(w, item, call, 1);
    }
}

void encode_exception(record_writer *w, PyObject *error, const boundary_call *call)
{
    if (call && call->outcomes && encode_reference(w, error, call))
        return;
    PyObject *name = handle_type_name(Py_TYPE(error));
    PyObject *args = PyObject_TypeCheck(error, (PyTypeObject *)PyExc_OSError)
                         ? oserror_args((PyOSErrorObject *)error)
                         : Py_NewRef(((PyBaseExceptionObject *)error)->args);
    PyObject *state = args ? exception_state(error, call) : NULL;
    Py_ssize_t size;
    const char *text = name && state ? PyUnicode_AsUTF8AndSize(name, &size) : NULL;
    if (text) {
        tagged(w, 'x', text, (size_t)size);
        encode_exception_args(w, args, call);
        encode_depth(w, state, call, 1);
    } else {
        w->failed = 1;
    }
    Py_XDECREF(state);
    Py_XDECREF(args);
    Py_XDECREF(name);
}
