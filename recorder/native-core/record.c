/* The boundary while recording: run the original, write down what came of it. */
#include "boundary.h"
#include "callback.h"
#include "collector.h"
#include "digest.h"
#include "errors.h"
#include "hidden.h"
#include "shared_memory.h"
#include "output.h"
#include "threads.h"
#include "wall_clock.h"

#include <string.h>

int core_mode = MODE_OFF;
__thread int core_hidden;

static void note_unrecordable(boundary_entry *entry, PyTypeObject *type, unsigned kind, uint32_t digest)
{
    record_writer w;
    char tag = 'U';
    PyErr_Clear();
    record_begin(&w, entry->id, kind, 0, digest);
    write_bytes(&w, &tag, 1);
    write_count(&w, (uint32_t)strlen(type->tp_name));
    write_bytes(&w, type->tp_name, strlen(type->tp_name));
    if (record_end(&w) < 0)
        PyErr_Clear(); /* out of memory for a hundred bytes: the stream stops making sense, and replay says so */
}

/* What a write to the program's output or error wrote, and which of them (1, 2); `result` is how many bytes of it. */
static int output_of(boundary_entry *entry, const boundary_call *call, PyObject *result, int *fd, Py_buffer *data)
{
    if (!result || !PyLong_CheckExact(result) || entry->index >= call->nargs)
        return 0;
    if (entry->descriptor < 0)
        *fd = *(int *)((char *)call->self + sizeof(PyObject));
    else if (entry->descriptor < call->nargs && PyLong_CheckExact(call->args[entry->descriptor]))
        *fd = (int)PyLong_AsLong(call->args[entry->descriptor]);
    else
        return 0;
    *fd = output_stream(*fd);
    if (!*fd)
        return 0;
    if (PyObject_GetBuffer(call->args[entry->index], data, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        return 0;
    }
    Py_ssize_t n = PyLong_AsSsize_t(result);
    data->len = n >= 0 && n < data->len ? n : data->len;
    return 1;
}

static void record_output(boundary_entry *entry, const boundary_call *call, PyObject *result, uint32_t digest)
{
    record_writer w;
    Py_buffer data;
    int fd;
    int output = output_of(entry, call, result, &fd, &data);
    record_begin(&w, entry->id, KIND_RESULT, output ? FLAG_OUTPUT : 0, digest);
    if (output) {
        write_count(&w, (uint32_t)fd);
        write_count(&w, (uint32_t)data.len);
        write_bytes(&w, data.buf, (size_t)data.len);
        PyBuffer_Release(&data);
    }
    encode_value(&w, result, call);
    if (record_end(&w) < 0)
        note_unrecordable(entry, Py_TYPE(result), KIND_RESULT, digest);
    if (output)
        wall_clock_record();
}

/* The result says how much was filled: a count, or a tuple that begins with one. */
static Py_ssize_t filled(PyObject *result, Py_ssize_t most)
{
    PyObject *count = PyTuple_Check(result) && PyTuple_GET_SIZE(result) ? PyTuple_GET_ITEM(result, 0) : result;
    Py_ssize_t n = PyLong_Check(count) ? PyLong_AsSsize_t(count) : 0;
    return n < 0 ? 0 : n > most ? most : n;
}

static void record_buffer(boundary_entry *entry, const boundary_call *call, PyObject *result, uint32_t digest)
{
    record_writer w;
    Py_buffer view;
    record_begin(&w, entry->id, KIND_RESULT, 0, digest);
    write_bytes(&w, "(\2\0\0\0", 5);
    encode_value(&w, result, call);
    if (entry->index < call->nargs && PyObject_GetBuffer(call->args[entry->index], &view, PyBUF_SIMPLE) == 0) {
        Py_ssize_t n = filled(result, view.len);
        write_bytes(&w, "b", 1);
        write_count(&w, (uint32_t)n);
        write_bytes(&w, view.buf, (size_t)n);
        PyBuffer_Release(&view);
    } else {
        PyErr_Clear();
        write_bytes(&w, "N", 1);
    }
    if (record_end(&w) < 0)
        note_unrecordable(entry, Py_TYPE(result), KIND_RESULT, digest);
}

static void record_result(boundary_entry *entry, const boundary_call *call, PyObject *result, uint32_t digest)
{
    record_writer w;
    PyObject *value = result;
    unsigned kind = entry->policy == POLICY_SOURCE ? KIND_SOURCE : KIND_RESULT;
    if (entry->encode)
        value = boundary_adapt(entry->encode, result, call);
    if (!value) {
        note_unrecordable(entry, Py_TYPE(result), kind, digest);
        return;
    }
    record_begin(&w, entry->id, kind, 0, digest);
    encode_value(&w, value, call);
    if (record_end(&w) < 0)
        note_unrecordable(entry, Py_TYPE(result), kind, digest);
    if (value != result)
        Py_DECREF(value);
}

/* Source that does not compile: the record holds it too, so that replay fails at the same place. */
static bool record_failing_source(boundary_entry *entry, const boundary_call *call, PyObject *error, uint32_t digest)
{
    record_writer w;
    PyObject *value = boundary_adapt(entry->encode, error, call);
    if (value) {
        record_begin(&w, entry->id, KIND_SOURCE, 0, digest);
        encode_value(&w, value, call);
    }
    bool done = value && record_end(&w) == 0;
    Py_XDECREF(value);
    PyErr_Clear(); /* else the error alone is recorded */
    return done;
}

static void record_raised(boundary_entry *entry, const boundary_call *call, uint32_t digest)
{
    record_writer w;
    PyObject *error = error_take();
    if (entry->policy == POLICY_SOURCE && record_failing_source(entry, call, error, digest)) {
        error_put_back(error);
        return;
    }
    record_begin(&w, entry->id, KIND_RAISED, 0, digest);
    encode_exception(&w, error, call);
    if (record_end(&w) < 0)
        note_unrecordable(entry, Py_TYPE(error), KIND_RAISED, digest);
    error_put_back(error);
}

static PyObject *run(boundary_entry *entry, const boundary_call *call)
{
    return entry->blocking ? threads_call_blocking(entry, call) : entry->original(entry, call);
}

/* With other positional arguments, as many as before. */
static PyObject *run_rewritten(boundary_entry *entry, const boundary_call *call, PyObject *positional)
{
    Py_ssize_t named = call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0;
    PyObject **args = PyMem_Malloc((size_t)(call->nargs + named + 1) * sizeof *args);
    if (!args)
        return PyErr_NoMemory();
    memcpy(args, ((PyTupleObject *)positional)->ob_item, (size_t)call->nargs * sizeof *args);
    memcpy(args + call->nargs, call->args + call->nargs, (size_t)named * sizeof *args);
    const boundary_call other = {.self = call->self, .args = args, .nargs = call->nargs, .kwnames = call->kwnames};
    PyObject *result = run(entry, &other);
    PyMem_Free(args);
    return result;
}

/* What the original gets instead of the positional arguments; NULL: those themselves. Arguments that make no sense are the
 * original's own affair. */
static PyObject *rewritten(boundary_entry *entry, const boundary_call *call)
{
    PyObject *positional = entry->rewrite ? boundary_adapt(entry->rewrite, NULL, call) : NULL;
    if (!positional)
        PyErr_Clear();
    if (positional && (!PyTuple_Check(positional) || PyTuple_GET_SIZE(positional) != call->nargs))
        Py_CLEAR(positional);
    return positional;
}

static PyObject *run_hidden(boundary_entry *entry, const boundary_call *call, PyObject *positional)
{
    core_hidden++;
    PyObject *result = positional ? run_rewritten(entry, call, positional) : run(entry, call);
    core_hidden--;
    return result;
}

/* Replay has no frames of it to show, so the program's trace functions and monitoring tools see none here. */
static PyObject *run_python(boundary_entry *entry, const boundary_call *call)
{
    hidden_begin_audible();
    PyObject *result = run(entry, call);
    hidden_end_audible();
    return result;
}

void record_outcome(boundary_entry *entry, const boundary_call *call, PyObject *result, uint32_t digest)
{
    shared_memory_written(entry, call, result);
    shared_memory_record(entry);
    if (!result)
        record_raised(entry, call, digest);
    else if (entry->policy == POLICY_OUTPUT)
        record_output(entry, call, result, digest);
    else if (entry->policy == POLICY_BUFFER)
        record_buffer(entry, call, result, digest);
    else
        record_result(entry, call, result, digest);
    if (entry->policy == POLICY_EXIT)
        return; /* the process ends here, nothing is finalized any more */
    if (entry->blocking != BLOCKS_NEVER)
        wall_clock_after_wait();
    collector_after_input();
}

/* The last record of this process, if the argument is a status. */
static void record_last(boundary_entry *entry, const boundary_call *call, uint32_t digest)
{
    int status = call->nargs == 1 && PyLong_CheckExact(call->args[0]) ? (int)PyLong_AsLong(call->args[0]) : -1;
    if (status == -1) {
        PyErr_Clear(); /* the original will complain */
        return;
    }
    record_outcome(entry, call, Py_None, digest);
    record_exits(status);
    record_close();
}

PyObject *record_call(boundary_entry *entry, const boundary_call *call)
{
    callback_scope scope;
    uint32_t digest = boundary_digest(entry, call);
    if (entry->policy == POLICY_EXIT)
        record_last(entry, call, digest);
    if (entry->policy == POLICY_RERUN || entry->policy == POLICY_KEEP) {
        PyObject *result = run(entry, call);
        if (core_mode == MODE_RECORD)
            record_outcome(entry, call, result && entry->policy == POLICY_KEEP ? Py_None : result, digest);
        return result;
    }
    PyObject *positional = rewritten(entry, call);
    callback_watch(&scope, entry, call, digest);
    PyObject *result = entry->is_python ? run_python(entry, call) : run_hidden(entry, call, positional);
    callback_unwatch(&scope);
    Py_XDECREF(positional);
    if (core_mode == MODE_RECORD) /* else the call forked, and this is the child */
        record_outcome(entry, &scope.call, result, digest);
    callback_done(&scope);
    return result;
}

static int record_definition(boundary_entry *entry)
{
    record_writer w;
    record_begin(&w, entry->id, KIND_DEFINE, 0, 0);
    encode_value(&w, entry->name, NULL);
    return record_end(&w);
}

int replay_definition(boundary_entry *entry);

int boundary_define(boundary_entry *entry)
{
    switch (core_mode) {
    case MODE_RECORD:
        return record_definition(entry);
    case MODE_REPLAY:
        return replay_definition(entry);
    default:
        return 0;
    }
}
