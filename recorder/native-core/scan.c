/* Finding records in a stream that arrives in arbitrary pieces, as the Python type `RecordScanner`.
 *
 * The drain feeds it every piece it takes out of the ring. It counts records, and hands out what the trace keeps
 * lists of: definitions, sources and notes whole; output and hand-overs of the turn by their place. Its twin in
 * Python, which tests compare it with: retroscope/trace/stream.py. Layout: docs/architecture.md, "Seam 2".
 */
#include "core.h"
#include "encode.h"

#include <stdint.h>
#include <string.h>

#define OUTPUT_PREFIX_BYTES 8
#define MOST_CAPTURED (1u << 26)

/* Bytes that grow; `failed` once memory ran out. */
typedef struct {
    char *data;
    size_t used, room;
} buffer;

typedef struct {
    PyObject_HEAD
    uint64_t records;       /* complete ones */
    uint64_t complete;      /* offset in the stream behind the last complete record */
    unsigned char header[RECORD_HEADER_BYTES + OUTPUT_PREFIX_BYTES];
    uint32_t have;          /* bytes of header (and output prefix) collected of the record in progress */
    uint64_t left;          /* bytes of its payload still to come, once its header is whole */
    buffer payload;         /* of the record in progress, when it is one to capture */
} RecordScanner;

/* What one call of feed has found. */
typedef struct {
    PyObject *captured;
    buffer outputs, switches;
    uint64_t first_record;
    int64_t first_offset;   /* -1: no record starts in this piece */
} findings;

static int buffer_add(buffer *b, const void *data, size_t n)
{
    if (b->room - b->used < n) {
        size_t room = b->room ? b->room : 256;
        while (room - b->used < n)
            room *= 2;
        char *grown = PyMem_Realloc(b->data, room);
        if (!grown) {
            PyErr_NoMemory();
            return -1;
        }
        b->data = grown;
        b->room = room;
    }
    memcpy(b->data + b->used, data, n);
    b->used += n;
    return 0;
}

static unsigned header_kind(const RecordScanner *s) { return s->header[2]; }

static uint32_t header_size(const RecordScanner *s)
{
    uint32_t size;
    memcpy(&size, s->header + 8, 4);
    return size;
}

static int is_captured(const RecordScanner *s)
{
    unsigned kind = header_kind(s);
    return (kind == KIND_DEFINE || kind == KIND_SOURCE || kind == KIND_NOTE) && header_size(s) <= MOST_CAPTURED;
}

static int has_output(const RecordScanner *s)
{
    return (s->header[3] & FLAG_OUTPUT) && header_size(s) >= OUTPUT_PREFIX_BYTES;
}

/* Bytes to collect before the record can be judged: the header, and the prefix of its output. */
static uint32_t wanted_head(const RecordScanner *s)
{
    if (s->have < RECORD_HEADER_BYTES || !has_output(s))
        return RECORD_HEADER_BYTES;
    return RECORD_HEADER_BYTES + OUTPUT_PREFIX_BYTES;
}

static int note_output(RecordScanner *s, findings *f)
{
    uint64_t place[2] = {s->records, s->complete + RECORD_HEADER_BYTES + OUTPUT_PREFIX_BYTES};
    if (buffer_add(&f->outputs, place, sizeof place) < 0)
        return -1;
    return buffer_add(&f->outputs, s->header + RECORD_HEADER_BYTES, OUTPUT_PREFIX_BYTES);
}

static int note_capture(RecordScanner *s, findings *f)
{
    uint16_t callable;
    memcpy(&callable, s->header, 2);
    PyObject *item = Py_BuildValue("(IKKHy#)", header_kind(s), (unsigned long long)s->records,
                                   (unsigned long long)s->complete, callable, s->payload.data ? s->payload.data : "",
                                   (Py_ssize_t)s->payload.used);
    int failed = item ? PyList_Append(f->captured, item) : -1;
    Py_XDECREF(item);
    return failed;
}

/* The record in progress is whole. */
static int end_record(RecordScanner *s, findings *f)
{
    uint64_t place[2] = {s->records, s->complete};
    if (has_output(s) && note_output(s, f) < 0)
        return -1;
    if (header_kind(s) == KIND_SWITCH && buffer_add(&f->switches, place, sizeof place) < 0)
        return -1;
    if (is_captured(s) && note_capture(s, f) < 0)
        return -1;
    s->complete += RECORD_HEADER_BYTES + (uint64_t)header_size(s);
    s->records++;
    s->have = 0;
    s->payload.used = 0;
    return 0;
}

/* Collects bytes of the head; returns how many it took. */
static size_t take_head(RecordScanner *s, const char *data, size_t n)
{
    size_t missing = wanted_head(s) - s->have;
    if (missing > n)
        missing = n;
    memcpy(s->header + s->have, data, missing);
    s->have += (uint32_t)missing;
    return missing;
}

static int scan(RecordScanner *s, const char *data, size_t n, findings *f)
{
    size_t at = 0;
    while (at < n) {
        if (s->have == 0 && f->first_offset < 0) {
            f->first_record = s->records;
            f->first_offset = (int64_t)s->complete;
        }
        if (s->have < wanted_head(s)) {
            int in_payload = s->have >= RECORD_HEADER_BYTES; /* the prefix of the output is payload already */
            size_t taken = take_head(s, data + at, n - at);
            if (in_payload && is_captured(s) && buffer_add(&s->payload, data + at, taken) < 0)
                return -1;
            at += taken;
            if (s->have < wanted_head(s))
                continue;
            s->left = header_size(s) - (s->have - RECORD_HEADER_BYTES);
        }
        size_t more = s->left < n - at ? (size_t)s->left : n - at;
        if (more && is_captured(s) && buffer_add(&s->payload, data + at, more) < 0)
            return -1;
        at += more;
        s->left -= more;
        if (!s->left && end_record(s, f) < 0)
            return -1;
    }
    return 0;
}

static PyObject *scanner_feed(PyObject *op, PyObject *piece)
{
    RecordScanner *self = (RecordScanner *)op;
    char *data;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(piece, &data, &n) < 0)
        return NULL;
    findings f = {.captured = PyList_New(0), .first_offset = -1};
    PyObject *answer = NULL;
    if (f.captured && scan(self, data, (size_t)n, &f) == 0)
        answer = Py_BuildValue("(Oy#y#KL)", f.captured, f.outputs.data ? f.outputs.data : "",
                               (Py_ssize_t)f.outputs.used, f.switches.data ? f.switches.data : "",
                               (Py_ssize_t)f.switches.used, (unsigned long long)f.first_record,
                               (long long)f.first_offset);
    Py_XDECREF(f.captured);
    PyMem_Free(f.outputs.data);
    PyMem_Free(f.switches.data);
    return answer;
}

static void scanner_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyMem_Free(((RecordScanner *)op)->payload.data);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *get_records(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(((RecordScanner *)op)->records);
}

static PyObject *get_complete(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(((RecordScanner *)op)->complete);
}

static PyMethodDef methods[] = {
    {"feed", scanner_feed, METH_O,
     "feed(data) -> (captured, outputs, switches, first_record, first_offset); see retroscope.trace.stream."},
    {0},
};

static PyGetSetDef getset[] = {
    {"records", get_records, NULL, "complete records seen", NULL},
    {"complete", get_complete, NULL, "offset in the stream behind the last complete record", NULL},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, scanner_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_doc, "RecordScanner(): finds the records of a stream fed to it piece by piece."},
    {0},
};

static PyType_Spec spec = {
    .name = "retroscope.recorder._core.RecordScanner",
    .basicsize = sizeof(RecordScanner),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

int scan_register(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    if (!type)
        return -1;
    int failed = PyModule_AddObjectRef(module, "RecordScanner", type);
    Py_DECREF(type);
    return failed;
}
