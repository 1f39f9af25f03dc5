#include "replay.h"
#include "branch.h"
#include "callback.h"
#include "collector.h"
#include "contexts.h"
#include "control.h"
#include "digest.h"
#include "errors.h"
#include "forks.h"
#include "hidden.h"
#include "look.h"
#include "reference.h"
#include "shared_memory.h"
#include "turn.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* --- when it cannot go on ---------------------------------------------------------------------- */

/* "  file:line in function" for each Python frame, innermost first. */
static PyObject *stack_text(void)
{
    PyObject *lines = PyUnicode_FromString("");
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    while (frame && lines) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        PyObject *line = PyUnicode_FromFormat("\n  %U:%d in %U", code->co_filename, PyFrame_GetLineNumber(frame),
                                              code->co_qualname);
        PyUnicode_AppendAndDel(&lines, line);
        Py_DECREF(code);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_SETREF(frame, back);
    }
    Py_XDECREF(frame);
    return lines;
}

static PyObject *last_input_text(void)
{
    if (stream_inputs == 0)
        return PyUnicode_FromString("no input agreed before it");
    return PyUnicode_FromFormat("the last agreeing input is number %llu", (unsigned long long)(stream_inputs - 1));
}

static PyObject *branch_text(PyObject *what, PyObject *stack)
{
    const char *uncaught = control_uncaught_name();
    return PyUnicode_FromFormat("%s%s%s%U\nPython stack, innermost first:%U", *uncaught ? "an uncaught " : "", uncaught,
                                *uncaught ? " ends the program, and as it does: " : "", what, stack);
}

void replay_diverged(const char *format, ...)
{
    va_list arguments;
    core_hide();
    PyErr_Clear();
    va_start(arguments, format);
    PyObject *what = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    PyObject *stack = stack_text();
    PyObject *last = last_input_text();
    PyObject *message = !what || !stack || !last ? NULL
                        : branch_is_here         ? branch_text(what, stack)
                        : PyUnicode_FromFormat("The replay diverged from the recording at input %llu: %U; %U."
                                                   "\nPython stack, innermost first:%U",
                                                   (unsigned long long)stream_inputs, what, last, stack);
    PyObject *utf8 = message ? PyUnicode_AsEncodedString(message, "utf-8", "backslashreplace") : NULL;
    const char *text = utf8 ? PyBytes_AsString(utf8) : NULL;
    control_diverged(text ? text : "The replay diverged from the recording (no memory for the details).");
}

void replay_record_ends(void)
{
    core_hide();
    control_end(-1, NULL, NULL);
}

int replay_has_more(void)
{
    record_view record;
    return stream_peek(&record) != 0;
}

/* --- matching ----------------------------------------------------------------------------------- */

/* "what it is" for a message. */
static PyObject *describe(const record_view *record)
{
    static const char *const kinds[] = {"result", "exception", "definition", "garbage collection", "callback",
                                        "end of a callback", "start", "hand-over", "signal", "end", "source",
                                        "note", "clock", "address", "fork",
                                        "shared memory"};
    const char *kind = record->kind < sizeof kinds / sizeof *kinds ? kinds[record->kind] : "record";
    PyObject *name = boundary_name(record->callable);
    return name ? PyUnicode_FromFormat("the %s of %U", kind, name) : PyUnicode_FromFormat("a %s record", kind);
}

/* The recording says itself that it is not exact from here on. */
static void stop_at_lost(const record_view *record)
{
    const char *p = record->payload;
    core_hide();
    PyObject *text = decode_value(&p, p + record->size, NULL);
    replay_diverged("the recording ends to be exact here: %V", text, "it lost the order of threads");
}

static void pass_by(void)
{
    stream_take();
    collector_as_recorded();
}

/* The next record that the program must know of, where one of `wanted` kind is due. */
static void peek_for(unsigned wanted, record_view *record)
{
    for (;;) {
        int found = stream_peek(record);
        if (found == 0)
            replay_record_ends();
        if (found < 0)
            replay_diverged("the recorded stream is damaged here");
        if (record->kind == KIND_NOTE && (record->flags & FLAG_LOST))
            stop_at_lost(record);
        if (record->kind == KIND_NOTE || record->kind == KIND_CLOCK)
            stream_take();
        else if (context_switch_is_at(SWITCH_BLOCKED))
            context_switch_as_recorded();
        else if (branch_passes(record, wanted))
            pass_by();
        else
            return;
    }
}

static void peek(record_view *record)
{
    peek_for(KIND_RESULT, record);
}

/* As peek, where the outcome of a call is due: before it may stand what other processes wrote during the call. */
static void peek_outcome(record_view *record)
{
    peek(record);
    while (record->kind == KIND_MEMORY) {
        shared_memory_replay(record);
        stream_take();
        peek(record);
    }
}

/* What an exception says, where that runs nobody's code; else its type. */
static PyObject *describe_exception(PyObject *error)
{
    PyObject *args = ((PyBaseExceptionObject *)error)->args;
    PyObject *first = args && PyTuple_Check(args) && PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : NULL;
    PyObject *text = PyUnicode_FromFormat("<%s", Py_TYPE(error)->tp_name);
    if (first && PyUnicode_CheckExact(first))
        PyUnicode_AppendAndDel(&text, PyUnicode_FromFormat(": %U", first));
    PyObject *trace = PyException_GetTraceback(error);
    PyTracebackObject *at = getenv("SCOPE_DEBUG") ? (PyTracebackObject *)trace : NULL;
    for (; at; at = at->tb_next) {
        PyCodeObject *code = PyFrame_GetCode(at->tb_frame);
        PyUnicode_AppendAndDel(&text, PyUnicode_FromFormat("\n    raised in %U:%d %U", code->co_filename,
                                                           PyCode_Addr2Line(code, at->tb_lasti), code->co_qualname));
        Py_DECREF(code);
    }
    Py_XDECREF(trace);
    PyUnicode_AppendAndDel(&text, PyUnicode_FromString(">"));
    return text;
}

/* The arguments of a call as a person can read them: plain data by value, the rest by type. */
static PyObject *describe_arguments(const boundary_call *call)
{
    PyObject *text = PyUnicode_FromString("(");
    Py_ssize_t n = call->nargs + (call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0);
    for (Py_ssize_t i = 0; text && i < n; i++) {
        PyObject *value = call->args[i];
        PyTypeObject *type = Py_TYPE(value);
        int plain = type == &PyLong_Type || type == &PyFloat_Type || type == &PyUnicode_Type || type == &PyBytes_Type ||
                    type == &PyBool_Type || value == Py_None || type == &PyByteArray_Type;
        PyObject *copy = type == &PyMemoryView_Type ? PyBytes_FromObject(value) : Py_NewRef(value);
        PyObject *shown = plain || type == &PyMemoryView_Type ? PyObject_Repr(copy)
                          : PyExceptionInstance_Check(value)  ? describe_exception(value)
                                                              : PyUnicode_FromFormat("<%s>", type->tp_name);
        Py_XDECREF(copy);
        if (shown && PyUnicode_GET_LENGTH(shown) > 300 && !PyExceptionInstance_Check(value))
            Py_SETREF(shown, PyUnicode_Substring(shown, 0, 300));
        PyUnicode_AppendAndDel(&text, PyUnicode_FromFormat("%s%V", i ? ", " : "", shown, "?"));
        Py_XDECREF(shown);
    }
    PyUnicode_AppendAndDel(&text, PyUnicode_FromString(")"));
    return text;
}

/* ", recorded output …" where the record holds what was written. */
static PyObject *describe_output(const record_view *record)
{
    uint32_t n;
    if (!(record->flags & FLAG_OUTPUT) || record->size < 8)
        return PyUnicode_FromString("");
    memcpy(&n, record->payload + 4, 4);
    if (n > record->size - 8)
        return PyUnicode_FromString("");
    PyObject *data = PyBytes_FromStringAndSize(record->payload + 8, n < 300 ? n : 300);
    PyObject *text = data ? PyUnicode_FromFormat("; it wrote %R in the recording", data) : NULL;
    Py_XDECREF(data);
    return text;
}

static void expect(boundary_entry *entry, uint32_t digest, const boundary_call *call, record_view *record)
{
    context_may_wait(entry->name, call->self);
    peek_outcome(record);
    shared_memory_restore(entry);
    unsigned kind = record->kind;
    if (record->callable != entry->id || (kind != KIND_RESULT && kind != KIND_RAISED && kind != KIND_SOURCE)) {
        core_hide();
        PyObject *recorded = describe(record), *arguments = describe_arguments(call);
        replay_diverged("the recording has %V here, the program called %U%V", recorded, "another record", entry->name,
                        arguments, "(?)");
    }
    if (record->digest != digest) {
        core_hide();
        PyObject *arguments = describe_arguments(call), *output = describe_output(record);
        replay_diverged("the program called %U as recorded, but with other arguments: %V%V", entry->name, arguments,
                        "?", output, "");
    }
}

void replay_expect_foreign(boundary_entry *entry, uint32_t digest, record_view *record)
{
    peek(record);
    if (record->callable != entry->id || record->kind != KIND_RESULT) {
        core_hide();
        PyObject *recorded = describe(record);
        replay_diverged("the recording has %V here, an extension of the program called %U", recorded, "another record",
                        entry->name);
    }
    if (record->digest != digest)
        replay_diverged("an extension of the program called %U as recorded, but with other arguments", entry->name);
}

bool replay_foreign_is_next(boundary_entry *entry, record_view *record)
{
    peek(record);
    return record->callable == entry->id && record->kind == KIND_RESULT;
}

void replay_expect_own(unsigned kind, record_view *record)
{
    peek_for(kind, record);
    if (record->callable != 0 || record->kind != kind) {
        PyObject *recorded = describe(record);
        replay_diverged("the recording has %V where the recorder's own record %u was due", recorded, "another record", kind);
    }
}

void replay_expect_call(boundary_entry *entry, record_view *record)
{
    context_may_wait(entry->name, NULL);
    peek(record);
    if (record->callable != entry->id || (record->kind != KIND_RESULT && record->kind != KIND_RAISED)) {
        core_hide();
        PyObject *recorded = describe(record);
        replay_diverged("the recording has %V here, the program called %U", recorded, "another record", entry->name);
    }
}

bool replay_own_is_next(unsigned kind, record_view *record)
{
    peek_for(kind, record);
    return record->callable == 0 && record->kind == kind;
}

int replay_callback_is_next(boundary_entry *entry, record_view *record)
{
    context_may_wait(entry->name, NULL);
    peek(record);
    return record->kind == KIND_CALLBACK && record->callable == entry->id;
}

void replay_expect_return(boundary_entry *entry)
{
    record_view record;
    peek(&record);
    if (record.callable != entry->id || record.kind != KIND_CALLED_BACK) {
        core_hide();
        PyObject *recorded = describe(&record);
        replay_diverged("the recording has %V here, in the program a callback of %U is over", recorded, "another record",
                        entry->name);
    }
    stream_take();
}

int replay_definition(boundary_entry *entry)
{
    record_view record;
    peek(&record);
    const char *p = record.payload;
    PyObject *name = decode_value(&p, record.payload + record.size, NULL);
    if (record.kind != KIND_DEFINE || record.callable != entry->id || !name || !PyUnicode_Check(name) ||
        PyUnicode_Compare(name, entry->name) != 0)
        replay_diverged("%U was put behind the boundary, the recording has %V; the recording was made with another "
                        "version of Retroscope, Python or the package",
                        entry->name, name && PyUnicode_Check(name) ? name : NULL, "something else");
    Py_DECREF(name);
    stream_take();
    return 0;
}

/* --- results ------------------------------------------------------------------------------------ */

static void fill_buffer(boundary_entry *entry, const boundary_call *call, PyObject *data)
{
    Py_buffer view;
    if (data == Py_None)
        return;
    if (entry->index >= call->nargs || PyObject_GetBuffer(call->args[entry->index], &view, PyBUF_WRITABLE) < 0)
        replay_diverged("%U was given something that cannot be filled", entry->name);
    if (PyBytes_GET_SIZE(data) > view.len)
        replay_diverged("%U was given a smaller buffer than in the recording", entry->name);
    memcpy(view.buf, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
    PyBuffer_Release(&view);
}

/* Raises `error` (stolen). An exception that came out of a callback has its context and its traceback already. */
static void raise_recorded(const boundary_call *call, PyObject *error)
{
    reference place;
    if (call->outcomes && reference_find(call, error, &place)) {
        error_put_back(error);
        return;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
}

/* The recorded outcome: a result, or NULL with the recorded exception set. Takes the record. */
static PyObject *outcome(boundary_entry *entry, const boundary_call *call, const record_view *record)
{
    const char *p = record->payload, *end = p + record->size;
    if (record->flags & FLAG_OUTPUT) {
        uint32_t n = 0;
        if (record->size >= 8)
            memcpy(&n, p + 4, 4);
        if (record->size < 8 || n > record->size - 8)
            replay_diverged("the record of %U is damaged", entry->name);
        p += 8 + n;
    }
    core_hide();
    PyObject *value = decode_value(&p, end, call);
    core_show();
    if (!value) {
        PyObject *error = error_take();
        replay_diverged("the recorded result of %U cannot be rebuilt (%S)", entry->name, error);
    }
    unsigned kind = record->kind;
    stream_take();
    if (kind == KIND_RAISED) {
        if (!PyExceptionInstance_Check(value))
            replay_diverged("the record of %U is damaged", entry->name);
        raise_recorded(call, value);
        return NULL;
    }
    if (entry->policy == POLICY_BUFFER) {
        if (!PyTuple_Check(value) || PyTuple_GET_SIZE(value) != 2 ||
            (PyTuple_GET_ITEM(value, 1) != Py_None && !PyBytes_Check(PyTuple_GET_ITEM(value, 1))))
            replay_diverged("the record of %U is damaged", entry->name);
        fill_buffer(entry, call, PyTuple_GET_ITEM(value, 1));
        Py_SETREF(value, Py_NewRef(PyTuple_GET_ITEM(value, 0)));
    } else if (entry->decode) {
        Py_SETREF(value, boundary_adapt(entry->decode, value, call));
        if (!value) {
            PyObject *error = error_take();
            replay_diverged("the recorded result of %U cannot be rebuilt (%S)", entry->name, error);
        }
        if (kind == KIND_SOURCE && PyExceptionInstance_Check(value)) {
            error_put_back(value);
            hidden_clean_traceback();
            return NULL;
        }
    }
    return value;
}

/* Is the next record the exception of this very call? */
static int raises_at_once(boundary_entry *entry)
{
    record_view record;
    context_may_wait(entry->name, NULL);
    peek_outcome(&record);
    return record.callable == entry->id && record.kind == KIND_RAISED;
}

PyObject *replay_call(boundary_entry *entry, const boundary_call *call)
{
    record_view record;
    if (branch_is_here && entry->policy == POLICY_OUTPUT) {
        PyObject *written = branch_write(entry, call);
        if (written || PyErr_Occurred())
            return written;
    }
    if (core_looking && look_only_compares(entry->name))
        return entry->original(entry, call);
    if (core_looking)
        return PyErr_Format(PyExc_RuntimeError, "%U reaches outside the recording: it cannot be called while looking",
                            entry->name);
    uint32_t digest = boundary_digest(entry, call);
    PyObject *again = NULL, *error = NULL;
    if (entry->policy == POLICY_FORK && !forks_begin(entry, call))
        return NULL;
    if (entry->policy == POLICY_RERUN || (entry->policy == POLICY_KEEP && !raises_at_once(entry))) {
        again = entry->original(entry, call);
        error = again ? NULL : error_take();
    }
    callback_scope scope = {.entry = entry, .call = *call, .digest = digest};
    callback_replay(&scope);
    bool in_child = false;
    if (entry->policy == POLICY_FORK && forks_replay(&in_child))
        callback_replay(&scope);
    expect(entry, digest, call, &record);
    PyObject *result = outcome(entry, &scope.call, &record);
    if (result && entry->policy == POLICY_EXIT)
        control_end(PyLong_Check(call->args[0]) ? (int)PyLong_AsLong(call->args[0]) & 0xFF : -1, NULL, NULL);
    if (result && entry->policy == POLICY_KEEP) {
        if (!again)
            replay_diverged("%U raised in replay, and did not in the recording (%S)", entry->name, error);
        Py_SETREF(result, Py_NewRef(again));
    }
    Py_XDECREF(again);
    Py_XDECREF(error);
    callback_done(&scope);
    collector_as_recorded();
    if (entry->policy == POLICY_FORK)
        forks_end(in_child);
    if (result == Py_None && entry->policy == POLICY_OUTPUT)
        errno = EAGAIN; /* a file that takes nothing now: _io's buffered ones raise what errno says */
    return result;
}
