/* Where in a block are facts of a key? Compares exactly; the hash only finds blocks. */
#include "block_key.h"
#include "block_query.h"

#include <string.h>

typedef struct {
    unsigned long kind;
    const char *text, *second;   /* UTF-8 with surrogates, NULL: none */
    Py_ssize_t text_size, second_size;
    uint64_t number;
    PyObject *bytes[2];          /* that hold the texts */
} hit_request;

static int take_text(PyObject *object, PyObject **holder, const char **text, Py_ssize_t *size)
{
    if (object == Py_None)
        return 0;
    *holder = PyUnicode_AsEncodedString(object, "utf-8", "surrogatepass");
    return *holder ? PyBytes_AsStringAndSize(*holder, (char **)(uintptr_t)text, size) : -1;
}

static int take_number(PyObject *object, uint64_t *number)
{
    *number = PyLong_AsUnsignedLongLong(object);
    return *number == (uint64_t)-1 && PyErr_Occurred() ? -1 : 0;
}

/* What the two arguments of a kind are. */
static int take_request(hit_request *h, PyObject *a, PyObject *b)
{
    switch (h->kind) {
    case FACT_LINE:
        return take_text(a, &h->bytes[0], &h->text, &h->text_size) < 0 || take_number(b, &h->number) < 0 ? -1 : 0;
    case FACT_ENTER:
    case FACT_RAISE:
        return take_text(a, &h->bytes[0], &h->text, &h->text_size);
    case FACT_LOCAL:
        return take_text(a, &h->bytes[0], &h->text, &h->text_size) < 0 ? -1
               : take_text(b, &h->bytes[1], &h->second, &h->second_size);
    case FACT_ATTR:
    case FACT_NAME:
        return take_number(a, &h->number) < 0 ? -1 : take_text(b, &h->bytes[1], &h->second, &h->second_size);
    case FACT_ITEM:
    case FACT_FREED:
        return take_number(a, &h->number);
    default:
        PyErr_Format(PyExc_ValueError, "facts of kind %lu have no key", h->kind);
        return -1;
    }
}

static bool is_text(const block_reader *r, uint32_t text, const char *bytes, Py_ssize_t size)
{
    return bytes && r->texts[text].size == (size_t)size && memcmp(r->texts[text].bytes, bytes, (size_t)size) == 0;
}

static bool is_type(const block_reader *r, const read_value *value, const hit_request *h)
{
    return !h->text || (value->kind == VALUE_TABLE && is_text(r, r->entries[value->index].type, h->text, h->text_size));
}

/* The tick of the hit, 0: it is none. */
static uint64_t hit_tick(const block_reader *r, const read_fact *f, const hit_request *h)
{
    const read_frame *frame = f->frame == FRAME_NONE ? NULL : &r->frames[f->frame];
    const read_code *code = frame ? &r->codes[frame->code] : NULL;
    if ((unsigned long)f->kind != h->kind)
        return 0;
    switch (f->kind) {
    case FACT_LINE: {
        const read_place *place = &r->places[f->place];
        return place->line == (int64_t)h->number && is_text(r, r->codes[place->code].file, h->text, h->text_size) ? f->tick : 0;
    }
    case FACT_ENTER:
        return is_text(r, code->name, h->text, h->text_size) ? frame->id : 0;
    case FACT_LOCAL:
        return is_text(r, code->name, h->text, h->text_size) &&
                       is_text(r, code->names[f->slot] >> 1, h->second, h->second_size) ? f->tick : 0;
    case FACT_ATTR:
    case FACT_NAME:
        return f->address == h->number && is_text(r, f->name, h->second, h->second_size) ? f->tick : 0;
    case FACT_ITEM:
    case FACT_FREED:
        return f->address == h->number ? f->tick : 0;
    default:
        return is_type(r, &f->value, h) ? f->tick : 0;
    }
}

static PyObject *find_hits(block_reader *r, const hit_request *h, uint64_t first, uint64_t last)
{
    PyObject *list = PyList_New(0);
    read_fact fact;
    int more = list ? block_walk_begin(r, false) : -1;
    while (more >= 0 && (more = block_walk_next(r, &fact)) > 0) {
        uint64_t tick = hit_tick(r, &fact, h);
        if (tick && tick >= first && tick <= last && block_append(list, PyLong_FromUnsignedLongLong(tick)) < 0)
            more = -1;
        if (fact.tick > last)
            break;
    }
    if (more < 0)
        Py_CLEAR(list);
    return list;
}

static PyObject *block_hits(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object, *a, *b, *result = NULL;
    unsigned long long first, last;
    hit_request h = {0};
    open_block block;
    if (!PyArg_ParseTuple(args, "OKKkOO", &object, &first, &last, &h.kind, &a, &b))
        return NULL;
    if (take_request(&h, a, b) == 0 && block_open_from(object, &block) == 0)
        result = block_close_with(&block, find_hits(&block.reader, &h, first, last));
    Py_XDECREF(h.bytes[0]);
    Py_XDECREF(h.bytes[1]);
    return result;
}

static PyObject *block_key(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *a, *b;
    hit_request h = {0};
    if (!PyArg_ParseTuple(args, "kOO", &h.kind, &a, &b))
        return NULL;
    int failed = take_request(&h, a, b);
    key_hash hash = key_begin((uint32_t)h.kind);
    bool is_about_object = h.kind & (FACT_ATTR | FACT_NAME | FACT_ITEM | FACT_FREED);
    if (is_about_object)
        hash = key_add_number(hash, h.number);
    if (h.text)
        hash = key_add_text(hash, h.text, (size_t)h.text_size);
    if (h.second)
        hash = key_add_text(hash, h.second, (size_t)h.second_size);
    if (h.kind == FACT_LINE)
        hash = key_add_number(hash, h.number);
    Py_XDECREF(h.bytes[0]);
    Py_XDECREF(h.bytes[1]);
    return failed ? NULL : PyLong_FromUnsignedLong(key_end(hash));
}

static PyMethodDef functions[] = {
    {"block_hits", block_hits, METH_VARARGS, "block_hits(block, first, last, kind, a, b) -> list of ticks"},
    {"block_key", block_key, METH_VARARGS, "block_key(kind, a, b) -> int: the key of these facts"},
    {0},
};

int block_hits_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
