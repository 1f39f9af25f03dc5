/* What Python asks of blocks of observations: docs/observations.md. No replay is needed for it. */
#include "block_query.h"
#include "core.h"
#include "render.h"

#include <string.h>

/* --- objects ---------------------------------------------------------------------------------------------- */

PyObject *block_text_object(block_reader *r, uint32_t text)
{
    block_text *t = &r->texts[text];
    if (PyErr_Occurred())
        return NULL; /* a tuple is being made of which another part has failed */
    if (!t->object)
        t->object = PyUnicode_DecodeUTF8(t->bytes, (Py_ssize_t)t->size, "surrogatepass");
    return Py_XNewRef(t->object);
}

/* The text of a plain value, as repr() has it. */
static PyObject *plain(const char *type, PyObject *value)
{
    PyObject *text = value ? PyObject_Repr(value) : NULL;
    PyObject *row = text ? Py_BuildValue("(siOi)", type, 0, text, 0) : NULL;
    Py_XDECREF(value);
    Py_XDECREF(text);
    return row;
}

static PyObject *entry_object(block_reader *r, read_entry *e)
{
    if (!e->object) {
        PyObject *type = block_text_object(r, e->type), *text = block_text_object(r, e->text);
        if (type && text)
            e->object = Py_BuildValue("(OKOk)", type, (unsigned long long)e->address, text, (unsigned long)e->flags);
        Py_XDECREF(type);
        Py_XDECREF(text);
    }
    return Py_XNewRef(e->object);
}

PyObject *block_value_object(block_reader *r, const read_value *value)
{
    if (PyErr_Occurred())
        return NULL;
    switch (value->kind) {
    case VALUE_UNBOUND: Py_RETURN_NONE;
    case VALUE_INT: return plain("int", PyLong_FromLongLong(value->number));
    case VALUE_FLOAT: return plain("float", PyFloat_FromDouble(value->exact));
    case VALUE_NONE: return plain("NoneType", Py_NewRef(Py_None));
    case VALUE_TRUE: return plain("bool", Py_NewRef(Py_True));
    case VALUE_FALSE: return plain("bool", Py_NewRef(Py_False));
    default: return entry_object(r, &r->entries[value->index]);
    }
}

PyObject *block_frame_object(const block_reader *r, uint32_t frame)
{
    if (frame == FRAME_NONE)
        return PyLong_FromLong(0);
    const read_frame *f = &r->frames[frame];
    if (f->id || !f->is_old)
        return PyLong_FromUnsignedLongLong(f->id);
    return PyLong_FromLongLong(-(long long)(f->address & INT64_MAX));
}

static PyObject *number(uint64_t value)
{
    return PyLong_FromUnsignedLongLong(value);
}

static uint64_t thread_number(const block_reader *r)
{
    return r->threads[r->running].number;
}

/* The tuple of a fact. "N" takes the reference, and fails for NULL. */
static PyObject *fact_object(block_reader *r, read_fact *f)
{
    PyObject *kind = PyLong_FromLong(f->kind), *tick = number(f->tick), *frame = block_frame_object(r, f->frame);
    uint32_t code = f->frame == FRAME_NONE ? 0 : r->frames[f->frame].code;
    switch (f->kind) {
    case FACT_LINE:
        return Py_BuildValue("(NNNkLN)", kind, tick, frame, (unsigned long)r->places[f->place].code,
                             (long long)r->places[f->place].line, number(thread_number(r)));
    case FACT_ENTER:
        return Py_BuildValue("(NNNkNN)", kind, tick, frame, (unsigned long)code, block_frame_object(r, f->caller),
                             number(thread_number(r)));
    case FACT_LEAVE:
        return Py_BuildValue("(NNNkNN)", kind, tick, frame, (unsigned long)f->how, block_value_object(r, &f->value),
                             number(thread_number(r)));
    case FACT_RESUME:
        return Py_BuildValue("(NNNNN)", kind, tick, frame, block_frame_object(r, f->caller), number(thread_number(r)));
    case FACT_LOCAL:
        return Py_BuildValue("(NNNkNN)", kind, tick, frame, (unsigned long)f->slot, block_value_object(r, &f->value),
                             number(f->by));
    case FACT_CONTENT:
    case FACT_KEPT:
        return Py_BuildValue("(NNNkN)", kind, tick, frame, (unsigned long)f->slot, block_value_object(r, &f->value));
    case FACT_ATTR:
        return Py_BuildValue("(NNNNNNN)", kind, tick, frame, number(f->address), block_text_object(r, f->type),
                             block_text_object(r, f->name), block_value_object(r, &f->value));
    case FACT_ITEM:
        return Py_BuildValue("(NNNNNN)", kind, tick, frame, number(f->address), block_value_object(r, &f->key),
                             block_value_object(r, &f->value));
    case FACT_NAME:
        return Py_BuildValue("(NNNNNN)", kind, tick, frame, number(f->address), block_text_object(r, f->name),
                             block_value_object(r, &f->value));
    case FACT_RAISE:
        return Py_BuildValue("(NNNN)", kind, tick, frame, block_value_object(r, &f->value));
    default:
        Py_DECREF(frame);
        return Py_BuildValue("(NNN)", kind, tick, number(f->kind == FACT_INPUT ? r->inputs : f->address));
    }
}

/* --- reading a whole block --------------------------------------------------------------------------------- */

typedef int (*reader_opener)(block_reader *reader, const unsigned char *bytes, size_t size);

static int open_from(PyObject *object, open_block *block, reader_opener opener)
{
    memset(&block->reader, 0, sizeof block->reader);
    if (PyObject_GetBuffer(object, &block->bytes, PyBUF_SIMPLE) < 0)
        return -1;
    if (opener(&block->reader, block->bytes.buf, (size_t)block->bytes.len) == 0)
        return 0;
    block_reader_close(&block->reader);
    PyBuffer_Release(&block->bytes);
    return -1;
}

int block_open_from(PyObject *object, open_block *block)
{
    return open_from(object, block, block_reader_open);
}

PyObject *block_close_with(open_block *block, PyObject *result)
{
    block_reader_close(&block->reader);
    PyBuffer_Release(&block->bytes);
    return result;
}

int block_append(PyObject *list, PyObject *item)
{
    int failed = item ? PyList_Append(list, item) : -1;
    Py_XDECREF(item);
    return failed;
}

/* Opens a block with `opener`, answers a question about it and closes it. */
static PyObject *answered(PyObject *object, reader_opener opener, PyObject *(*answer)(block_reader *r))
{
    open_block b;
    return open_from(object, &b, opener) < 0 ? NULL : block_close_with(&b, answer(&b.reader));
}

/* [item(r, 0), item(r, 1), …] */
static PyObject *listed(block_reader *r, uint32_t count, PyObject *(*item)(block_reader *r, uint32_t i))
{
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && i < count; i++)
        if (block_append(list, item(r, i)) < 0)
            Py_CLEAR(list);
    return list;
}

static PyObject *head_of(block_reader *r)
{
    return Py_BuildValue("(KKK)", (unsigned long long)r->first, (unsigned long long)r->ticks, (unsigned long long)r->what);
}

static PyObject *code_object(block_reader *r, uint32_t i)
{
    const read_code *code = &r->codes[i];
    PyObject *names = PyTuple_New((Py_ssize_t)code->slots);
    for (uint32_t slot = 0; names && slot < code->slots; slot++) {
        PyObject *name = block_text_object(r, code->names[slot] >> 1);
        if (name)
            PyTuple_SET_ITEM(names, slot, name);
        else
            Py_CLEAR(names);
    }
    return Py_BuildValue("(NNLNk)", block_text_object(r, code->file), block_text_object(r, code->name),
                         (long long)code->first_line, names, (unsigned long)code->flags);
}

static PyObject *codes_of(block_reader *r)
{
    return listed(r, r->code_count, code_object);
}

static PyObject *shared_slots(block_reader *r, uint32_t i)
{
    const read_code *code = &r->codes[i];
    PyObject *list = PyList_New(0), *slots = NULL;
    for (uint32_t slot = 0; list && slot < code->slots; slot++)
        if (code->names[slot] & 1 && block_append(list, PyLong_FromUnsignedLong(slot)) < 0)
            Py_CLEAR(list);
    if (list)
        slots = PyList_AsTuple(list);
    Py_XDECREF(list);
    return slots;
}

static PyObject *shared_of(block_reader *r)
{
    return listed(r, r->code_count, shared_slots);
}

static PyObject *keys_of(block_reader *r)
{
    block_cursor keys = r->columns[COLUMN_KEYS];
    return PyBytes_FromStringAndSize((const char *)keys.at, keys.end - keys.at);
}

static PyObject *old_frame(block_reader *r, uint32_t i)
{
    const read_frame *f = &r->frames[i];
    return Py_BuildValue("(KKkK)", (unsigned long long)f->id, (unsigned long long)f->address, (unsigned long)f->code,
                         (unsigned long long)f->before);
}

static PyObject *frames_of(block_reader *r)
{
    return listed(r, r->old_count, old_frame);
}

static PyObject *end_of(block_reader *r)
{
    uint64_t id, last, address = 0;
    int64_t step;
    PyObject *list = PyList_New(0);
    block_cursor c = r->columns[COLUMN_END];
    while (list && c.at < c.end) {
        if (!cursor_number(&c, &id) || !cursor_signed(&c, &step) || !cursor_number(&c, &last)) {
            block_damaged();
            Py_CLEAR(list);
            break;
        }
        address += (uint64_t)step;
        if (block_append(list, Py_BuildValue("(KKK)", (unsigned long long)id, (unsigned long long)(address << 3),
                                             (unsigned long long)last)) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* A function of the module whose only argument is a block. */
#define ANSWERS(name, open, make)                                            \
    static PyObject *name(PyObject *Py_UNUSED(module), PyObject *object)     \
    {                                                                        \
        return answered(object, open, make);                                 \
    }

/* What builds an index asks for nothing else than the head and the keys of a block: there is no time to read it. */
ANSWERS(block_head, block_reader_open_head, head_of)
ANSWERS(block_keys, block_reader_open_head, keys_of)
ANSWERS(block_codes, block_reader_open, codes_of)
ANSWERS(block_shared, block_reader_open, shared_of)
ANSWERS(block_frames, block_reader_open, frames_of)
ANSWERS(block_end, block_reader_open, end_of)

static PyObject *block_events(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object;
    unsigned long long first, last;
    unsigned long kinds;
    open_block b;
    read_fact fact;
    int more = 0;
    if (!PyArg_ParseTuple(args, "OKKk", &object, &first, &last, &kinds) || block_open_from(object, &b) < 0)
        return NULL;
    PyObject *list = PyList_New(0);
    if (list && block_walk_begin(&b.reader, false) < 0)
        more = -1;
    while (list && more >= 0 && (more = block_walk_next(&b.reader, &fact)) > 0) {
        if (fact.tick > last)
            break;
        if (fact.tick >= first && (unsigned long)fact.kind & kinds && block_append(list, fact_object(&b.reader, &fact)) < 0)
            more = -1;
    }
    if (more < 0)
        Py_CLEAR(list);
    return block_close_with(&b, list);
}

/* --- the state at a tick ------------------------------------------------------------------------------------- */

static PyObject *locals_of(block_reader *r, const read_frame *f)
{
    if (!f->is_here || !(r->codes[f->code].flags & CODE_FULL))
        Py_RETURN_NONE;
    PyObject *locals = PyDict_New();
    for (uint32_t slot = 0; locals && f->slots && slot < r->codes[f->code].slots; slot++) {
        if (f->slots[slot].kind == VALUE_UNBOUND)
            continue;
        PyObject *key = PyLong_FromUnsignedLong(slot), *value = block_value_object(r, &f->slots[slot]);
        if (!key || !value || PyDict_SetItem(locals, key, value) < 0)
            Py_CLEAR(locals);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return locals;
}

static PyObject *frame_state(block_reader *r, uint32_t frame)
{
    const read_frame *f = &r->frames[frame];
    return Py_BuildValue("(KKkLKN)", (unsigned long long)f->id, (unsigned long long)f->address, (unsigned long)f->code,
                         (long long)f->line, (unsigned long long)f->last, locals_of(r, f));
}

static PyObject *thread_state(block_reader *r, const read_thread *t)
{
    PyObject *frames = PyList_New(0);
    for (uint32_t i = t->depth; frames && i-- > 0;)
        if (block_append(frames, frame_state(r, t->frames[i])) < 0)
            Py_CLEAR(frames);
    return Py_BuildValue("(KN)", (unsigned long long)t->number, frames);
}

static PyObject *all_threads(block_reader *r)
{
    PyObject *list = PyList_New(0);
    if (list && block_append(list, thread_state(r, &r->threads[r->running])) < 0)
        Py_CLEAR(list);
    for (uint32_t i = 0; list && i < r->thread_count; i++)
        if (i != r->running && r->threads[i].depth && block_append(list, thread_state(r, &r->threads[i])) < 0)
            Py_CLEAR(list);
    return list;
}

/* --- one moment -------------------------------------------------------------------------------------------- */

/* Goes on to the line of a tick: 0, or -1 with an error. */
static int walk_to(block_reader *r, uint64_t tick, bool keeps_values, read_fact *fact)
{
    int more;
    if (tick < r->first || tick >= r->first + r->ticks) {
        PyErr_Format(PyExc_LookupError, "tick %llu is not in the block", (unsigned long long)tick);
        return -1;
    }
    if (block_walk_begin(r, keeps_values) < 0)
        return -1;
    do
        more = block_walk_next(r, fact);
    while (more > 0 && !(fact->kind == FACT_LINE && fact->tick == tick));
    return more > 0 ? 0 : block_damaged();
}

/* Parses (block, tick), goes to the line of the tick and answers there. */
static PyObject *answered_at(PyObject *args, bool keeps_values, PyObject *(*answer)(block_reader *r, read_fact *line))
{
    PyObject *object;
    unsigned long long tick;
    open_block b;
    read_fact fact;
    if (!PyArg_ParseTuple(args, "OK", &object, &tick) || block_open_from(object, &b) < 0)
        return NULL;
    int failed = walk_to(&b.reader, tick, keeps_values, &fact);
    return block_close_with(&b, failed ? NULL : answer(&b.reader, &fact));
}

static PyObject *state_there(block_reader *r, read_fact *Py_UNUSED(line))
{
    return all_threads(r);
}

static PyObject *inputs_there(block_reader *r, read_fact *Py_UNUSED(line))
{
    return number(r->inputs);
}

static PyObject *block_state(PyObject *Py_UNUSED(module), PyObject *args)
{
    return answered_at(args, true, state_there);
}

static PyObject *block_inputs(PyObject *Py_UNUSED(module), PyObject *args)
{
    return answered_at(args, false, inputs_there);
}

static PyObject *block_line(PyObject *Py_UNUSED(module), PyObject *args)
{
    return answered_at(args, false, fact_object);
}

static PyMethodDef functions[] = {
    {"block_head", block_head, METH_O, "block_head(block) -> (first tick, ticks, what)"},
    {"block_codes", block_codes, METH_O, "block_codes(block) -> list of (file, qualified name, first line, names by slot, flags)"},
    {"block_shared", block_shared, METH_O, "block_shared(block) -> list of tuples: by code, the slots that other functions share"},
    {"block_keys", block_keys, METH_O, "block_keys(block) -> bytes: the u32 keys of what occurs in it, sorted"},
    {"block_frames", block_frames, METH_O,
     "block_frames(block) -> list of (frame, address, code, last tick before): those that began before it and occur in it"},
    {"block_end", block_end, METH_O, "block_end(block) -> list of (frame, address, last tick): alive at the end of a segment"},
    {"block_events", block_events, METH_VARARGS, "block_events(block, first, last, kinds) -> list of facts"},
    {"block_state", block_state, METH_VARARGS,
     "block_state(block, tick) -> list of (thread, [(frame, address, code, line, last tick, locals or None), …])"},
    {"block_inputs", block_inputs, METH_VARARGS, "block_inputs(block, tick) -> int: inputs used up at the tick"},
    {"block_line", block_line, METH_VARARGS, "block_line(block, tick) -> the LINE fact of the tick"},
    {0},
};

int block_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions) < 0 ? -1 : block_hits_register(module);
}
