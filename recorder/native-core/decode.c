#include "decode.h"
#include "after_record.h"
#include "allocations.h"
#include "handle.h"
#include "reference.h"
#include "signals.h"
#include "stalled.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MOST_DEPTH 400

static const char *stream, *stream_at, *stream_end;
static PyObject *unpickler;
uint64_t stream_inputs;

int stream_map(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    if (stream_end != stream)
        munmap((void *)stream, (size_t)(stream_end - stream));
    after_record_tick = UINT64_MAX;
    if (st.st_size == 0) {
        stream = stream_at = stream_end = "";
        return 0;
    }
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return -1;
    stream = stream_at = at;
    stream_end = stream + st.st_size;
    return 0;
}

static int view(const char *at, record_view *r)
{
    if (at == stream_end)
        return 0;
    if (stream_end - at < RECORD_HEADER_BYTES)
        return -1;
    memcpy(&r->callable, at, 2);
    r->kind = (uint8_t)at[2];
    r->flags = (uint8_t)at[3];
    memcpy(&r->digest, at + 4, 4);
    memcpy(&r->size, at + 8, 4);
    r->payload = at + RECORD_HEADER_BYTES;
    return (size_t)(stream_end - r->payload) < r->size ? -1 : 1;
}

int stream_peek(record_view *r)
{
    return view(stream_at, r);
}

unsigned stream_next_flags(void)
{
    record_view r;
    int found = view(stream_at, &r);
    while (found == 1 && (r.kind == KIND_NOTE || r.kind == KIND_CLOCK || r.kind == KIND_MEMORY))
        found = view(r.payload + r.size, &r);
    return found == 1 ? r.flags : ~0u;
}

/* What a person should know is nothing to the program: it must not hide what comes next. */
static void skip_notes(void)
{
    record_view r;
    while (view(stream_at, &r) == 1 && ((r.kind == KIND_NOTE && !(r.flags & FLAG_LOST)) || r.kind == KIND_CLOCK)) {
        if (r.kind == KIND_CLOCK)
            stalled_clock(&r);
        stream_at = r.payload + r.size;
        stream_inputs++;
    }
}

void stream_take(void)
{
    uint32_t size;
    record_view next;
    memcpy(&size, stream_at + 8, 4);
    stream_at += RECORD_HEADER_BYTES + size;
    stream_inputs++;
    skip_notes();
    stalled_next(stream_peek(&next) == 1 ? &next : NULL);
    if (stream_at == stream_end)
        after_record_begins();
    allocations_look_ahead();
    signals_look_ahead();
}

void decode_set_unpickler(PyObject *loads)
{
    Py_XINCREF(loads);
    Py_XSETREF(unpickler, loads);
}

/* --- values ----------------------------------------------------------------------------------- */

typedef struct {
    const char *p, *end;
    const boundary_call *call;
    int depth;
} reader;

static PyObject *damaged(void)
{
    PyErr_SetString(PyExc_ValueError, "a recorded value is damaged");
    return NULL;
}

static int take(reader *r, void *into, size_t n)
{
    if ((size_t)(r->end - r->p) < n) {
        damaged();
        return -1;
    }
    memcpy(into, r->p, n);
    r->p += n;
    return 0;
}

/* A length-prefixed span: its start, or NULL with an exception. */
static const char *span(reader *r, uint32_t *n)
{
    if (take(r, n, 4) < 0)
        return NULL;
    if ((size_t)(r->end - r->p) < *n) {
        damaged();
        return NULL;
    }
    const char *at = r->p;
    r->p += *n;
    return at;
}

static PyObject *decode_one(reader *r);

static PyObject *decode_str(reader *r)
{
    uint32_t n;
    const char *at = span(r, &n);
    return at ? PyUnicode_DecodeUTF8(at, n, "surrogatepass") : NULL;
}

static int count(reader *r, uint32_t *n)
{
    if (take(r, n, 4) < 0)
        return -1;
    if (*n > (size_t)(r->end - r->p)) { /* every item takes at least one byte */
        damaged();
        return -1;
    }
    return 0;
}

static PyObject *decode_sequence(reader *r, char kind)
{
    uint32_t n;
    if (count(r, &n) < 0)
        return NULL;
    PyObject *sequence = kind == '(' ? PyTuple_New(n) : PyList_New(n);
    for (uint32_t i = 0; sequence && i < n; i++) {
        PyObject *item = decode_one(r);
        if (!item)
            Py_CLEAR(sequence);
        else if (kind == '(')
            PyTuple_SET_ITEM(sequence, i, item);
        else
            PyList_SET_ITEM(sequence, i, item);
    }
    return sequence;
}

static PyObject *decode_dict(reader *r)
{
    uint32_t n;
    if (count(r, &n) < 0)
        return NULL;
    PyObject *dict = PyDict_New();
    for (uint32_t i = 0; dict && i < n; i++) {
        PyObject *key = decode_one(r);
        PyObject *value = key ? decode_one(r) : NULL;
        if (!value || PyDict_SetItem(dict, key, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *decode_set(reader *r, char kind)
{
    PyObject *items = decode_sequence(r, '[');
    PyObject *set = items ? (kind == '>' ? PyFrozenSet_New(items) : PySet_New(items)) : NULL;
    Py_XDECREF(items);
    return set;
}

static PyObject *decode_structseq(reader *r)
{
    PyObject *name = decode_str(r), *type = NULL, *made = NULL;
    uint32_t n;
    if (!name || count(r, &n) < 0)
        goto done;
    type = handle_type(name);
    if (!type)
        goto done;
    PyObject *fields = PyObject_GetAttrString(type, "n_fields");
    if (!fields || !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type) || PyLong_AsLong(fields) != (long)n) {
        Py_XDECREF(fields);
        damaged();
        goto done;
    }
    Py_DECREF(fields);
    made = PyStructSequence_New((PyTypeObject *)type);
    for (uint32_t i = 0; made && i < n; i++) {
        PyObject *item = decode_one(r);
        if (!item)
            Py_CLEAR(made);
        else
            PyStructSequence_SetItem(made, i, item);
    }
done:
    Py_XDECREF(name);
    Py_XDECREF(type);
    return made;
}

static PyObject *decode_exception(reader *r)
{
    PyObject *name = decode_str(r);
    PyObject *args = name ? decode_one(r) : NULL;
    PyObject *dict = args ? decode_one(r) : NULL;
    PyObject *type = dict ? handle_type(name) : NULL;
    PyObject *error = NULL;
    if (type && (!PyExceptionClass_Check(type) || !PyTuple_Check(args)))
        damaged();
    else if (type)
        error = PyObject_Call(type, args, NULL);
    PyObject *attribute, *value;
    Py_ssize_t at = 0;
    while (error && PyDict_Check(dict) && PyDict_Next(dict, &at, &attribute, &value))
        if (PyObject_GenericSetAttr(error, attribute, value) < 0)
            Py_CLEAR(error);
    Py_XDECREF(name);
    Py_XDECREF(args);
    Py_XDECREF(dict);
    Py_XDECREF(type);
    return error;
}

static PyObject *decode_handle(reader *r)
{
    PyObject *name = decode_str(r);
    PyObject *members = name ? decode_one(r) : NULL;
    PyObject *made = members ? handle_make(name, members, r->call ? r->call->self : NULL) : NULL;
    Py_XDECREF(name);
    Py_XDECREF(members);
    return made;
}

static PyObject *decode_reference(reader *r, char kind)
{
    reference place = {.length = 1};
    if (kind == 'p' && take(r, &place.length, 4) < 0)
        return NULL;
    if (place.length > REFERENCE_STEPS)
        return damaged();
    if (take(r, place.steps, place.length * sizeof *place.steps) < 0)
        return NULL;
    return reference_get(r->call, &place);
}

static PyObject *decode_global(reader *r)
{
    PyObject *name = decode_str(r);
    PyObject *found = name ? handle_type(name) : NULL;
    Py_XDECREF(name);
    return found;
}

static PyObject *decode_pickle(reader *r)
{
    uint32_t n;
    const char *at = span(r, &n);
    if (!at)
        return NULL;
    if (!unpickler)
        return damaged();
    core_hide();
    PyObject *bytes = PyBytes_FromStringAndSize(at, n);
    PyObject *value = bytes ? PyObject_CallOneArg(unpickler, bytes) : NULL;
    Py_XDECREF(bytes);
    core_show();
    return value;
}

static PyObject *decode_unrecordable(reader *r)
{
    PyObject *name = decode_str(r);
    if (name)
        PyErr_Format(PyExc_ValueError, "the recording has no value here: an object of type %U could not be kept",
                     name);
    Py_XDECREF(name);
    return NULL;
}

static PyObject *decode_number(reader *r, char kind)
{
    double d[2];
    int64_t n;
    switch (kind) {
    case 'i':
        return take(r, &n, 8) < 0 ? NULL : PyLong_FromLongLong(n);
    case 'f':
        return take(r, d, 8) < 0 ? NULL : PyFloat_FromDouble(d[0]);
    default:
        return take(r, d, 16) < 0 ? NULL : PyComplex_FromDoubles(d[0], d[1]);
    }
}

static PyObject *decode_bytes(reader *r, char kind)
{
    uint32_t n;
    const char *at = span(r, &n);
    if (!at)
        return NULL;
    switch (kind) {
    case 'I':
        return _PyLong_FromByteArray((const unsigned char *)at, n, 1, 1);
    case 'b':
        return PyBytes_FromStringAndSize(at, n);
    default:
        return PyByteArray_FromStringAndSize(at, n);
    }
}

static PyObject *decode_kind(reader *r, char kind)
{
    switch (kind) {
    case 'N': Py_RETURN_NONE;
    case 'T': Py_RETURN_TRUE;
    case 'F': Py_RETURN_FALSE;
    case 'i': case 'f': case 'c': return decode_number(r, kind);
    case 'I': case 'b': case 'B': return decode_bytes(r, kind);
    case 's': return decode_str(r);
    case '(': case '[': return decode_sequence(r, kind);
    case '{': return decode_dict(r);
    case '<': case '>': return decode_set(r, kind);
    case 'S': return decode_structseq(r);
    case 'x': return decode_exception(r);
    case 'H': return decode_handle(r);
    case 'A': case 'p': return decode_reference(r, kind);
    case 'g': return decode_global(r);
    case 'P': return decode_pickle(r);
    case 'U': return decode_unrecordable(r);
    default: return damaged();
    }
}

static PyObject *decode_one(reader *r)
{
    char kind;
    if (take(r, &kind, 1) < 0)
        return NULL;
    if (++r->depth > MOST_DEPTH)
        return damaged();
    PyObject *value = decode_kind(r, kind);
    r->depth--;
    return value;
}

PyObject *decode_value(const char **p, const char *end, const boundary_call *call)
{
    reader r = {*p, end, call, 0};
    PyObject *value = decode_one(&r);
    *p = r.p;
    return value;
}
