#include "digest.h"
#include "boundary.h"
#include "redacted.h"

#include <stdlib.h>
#include <string.h>

#define MOST_DEPTH 4
#define MOST_ITEMS 64

static inline uint64_t mix(uint64_t h, uint64_t x)
{
    h ^= x;
    h *= 0x9E3779B97F4A7C15ull;
    return h ^ (h >> 29);
}

static uint64_t mix_plain(uint64_t h, const void *data, size_t n)
{
    const char *p = data;
    h = mix(h, n);
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        h = mix(h, x);
    }
    uint64_t rest = 0;
    memcpy(&rest, p, n);
    return mix(h, rest);
}

static uint64_t mix_bytes(uint64_t h, const void *data, size_t n)
{
    char *copy = redacted_any ? redacted_copy(data, n) : NULL;
    h = mix_plain(h, copy ? copy : data, n);
    free(copy);
    return h;
}

static uint64_t mix_int(uint64_t h, PyObject *value)
{
    int overflow;
    long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
    return mix(mix(h, 'i'), overflow ? (uint64_t)_PyLong_NumBits(value) : (uint64_t)n);
}

static uint64_t mix_str(uint64_t h, PyObject *value)
{
    return mix_bytes(mix(h, 's'), PyUnicode_DATA(value),
                     (size_t)PyUnicode_GET_LENGTH(value) * PyUnicode_KIND(value));
}

static uint64_t mix_buffer(uint64_t h, PyObject *value)
{
    Py_buffer view;
    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        return mix(h, 'B');
    }
    h = mix_bytes(mix(h, 'B'), view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return h;
}

static uint64_t mix_value(uint64_t h, PyObject *value, int depth)
{
    PyTypeObject *type = Py_TYPE(value);
    if (value == Py_None || type == &PyBool_Type)
        return mix(h, value == Py_None ? 'N' : value == Py_True ? 'T' : 'F');
    if (type == &PyLong_Type)
        return mix_int(h, value);
    if (type == &PyUnicode_Type)
        return mix_str(h, value);
    if (type == &PyBytes_Type)
        return mix_bytes(mix(h, 'b'), PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    if (type == &PyFloat_Type) {
        double d = PyFloat_AS_DOUBLE(value);
        return mix_bytes(mix(h, 'f'), &d, 8);
    }
    if (type == &PyByteArray_Type || type == &PyMemoryView_Type)
        return mix_buffer(h, value);
    if ((type == &PyTuple_Type || type == &PyList_Type) && depth < MOST_DEPTH) {
        Py_ssize_t n = PySequence_Fast_GET_SIZE(value);
        PyObject **items = PySequence_Fast_ITEMS(value);
        h = mix(mix(h, '('), (uint64_t)n);
        for (Py_ssize_t i = 0; i < n && i < MOST_ITEMS; i++)
            h = mix_value(h, items[i], depth + 1);
        return h;
    }
    return mix_bytes(mix(h, 'o'), type->tp_name, strlen(type->tp_name));
}

uint32_t digest_call(const boundary_call *call, Py_ssize_t skip)
{
    Py_ssize_t named = call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0;
    if (call->nargs + named == 0)
        return 0;
    uint64_t h = (uint64_t)call->nargs + 1;
    for (Py_ssize_t i = 0; i < call->nargs + named; i++) {
        if (i >= call->nargs)
            h = mix_str(h, PyTuple_GET_ITEM(call->kwnames, i - call->nargs));
        if (i != skip)
            h = mix_value(h, call->args[i], 0);
    }
    return (uint32_t)(h ^ (h >> 32));
}

uint32_t boundary_digest(const boundary_entry *entry, const boundary_call *call)
{
    bool by_result = entry->policy == POLICY_RESULT && !entry->wrap;
    return digest_call(call, entry->policy == POLICY_BUFFER ? entry->index : by_result ? entry->index - 1 : -1);
}
