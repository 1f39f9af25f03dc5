#include "callback.h"
#include "errors.h"
#include "frames.h"
#include "handle.h"
#include "reference.h"
#include "replay.h"
#include "turn.h"

#include <string.h>

/* --- watching ------------------------------------------------------------------------------------- */

static __thread callback_scope *current; /* the call whose original runs hidden on this thread */
static unsigned watching;                /* scopes that watch, of all threads */

static PyObject *entered(PyThreadState *thread, frame *f, int throwing);

static void watch(callback_scope *scope, int on)
{
    if (!scope->watched)
        return;
    watching += on ? 1u : -1u;
    frames_set_hook(watching ? entered : NULL);
}

void callback_watch(callback_scope *scope, boundary_entry *entry, const boundary_call *call, uint32_t digest)
{
    /* Other threads run while a call blocks: they must not run under the hook. */
    bool watched = !entry->is_python && !(entry->blocking && turn_is_shared);
    *scope = (callback_scope){current, entry, *call, digest, watched};
    current = scope;
    watch(scope, 1);
}

void callback_unwatch(callback_scope *scope)
{
    current = scope->outer;
    watch(scope, 0);
}

void callback_done(callback_scope *scope)
{
    Py_CLEAR(scope->call.outcomes);
}

/* --- what is being entered -------------------------------------------------------------------------- */

/* How replay finds it: `object` itself is called, or its method `name`, or a new instance of it is made. Borrowed. */
typedef struct {
    PyObject *object, *name;
    PyObject *instance;       /* the new instance, whose __init__ is being entered */
    Py_ssize_t skip;          /* leading arguments that are not passed */
} target;

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
static bool identify_global(PyObject *function, target *found)
{
    PyObject *qualname = ((PyFunctionObject *)function)->func_qualname;
    PyObject *name = PyUnicode_FindChar(qualname, '.', 0, PyUnicode_GET_LENGTH(qualname), 1) < 0
                         ? handle_global_name(function) : NULL;
    *found = (target){function, NULL, NULL, 0};
    Py_XDECREF(name);
    return name != NULL;
}

static bool identify_function(const boundary_call *call, const frame_entry *entry, target *found)
{
    reference place;
    PyObject *function = (PyObject *)entry->function, *name = entry->function->func_name;
    PyObject *first = entry->code->co_argcount ? entry->locals[0] : NULL;
    if (first && reference_find(call, first, &place) && method_of(first, name) == function)
        *found = (target){first, name, NULL, 1};
    else if (reference_find(call, function, &place))
        *found = (target){function, NULL, NULL, 0};
    else if (first && (found->object = bound_among(call, function, first)))
        *found = (target){found->object, NULL, NULL, 1};
    else if (first && strcmp(PyUnicode_AsUTF8(name), "__init__") == 0 && method_of(first, name) == function &&
             reference_find(call, (PyObject *)Py_TYPE(first), &place))
        *found = (target){(PyObject *)Py_TYPE(first), NULL, first, 1};
    else
        return identify_global(function, found);
    return true;
}

static bool identify(const boundary_call *call, const frame_entry *entry, int throwing, target *found)
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
    *found = (target){entry->generator, next, NULL, 0};
    return true;
}

/* The arguments of a function that is about to begin, without the first `skip`: (args, kwargs or None). */
static PyObject *arguments(const frame_entry *entry, Py_ssize_t skip)
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

/* --- recording ------------------------------------------------------------------------------------------ */

static int make_outcomes(callback_scope *scope)
{
    if (!scope->call.outcomes)
        scope->call.outcomes = PyList_New(0);
    return scope->call.outcomes ? 0 : -1;
}

static int write_callback(callback_scope *scope, PyObject *value)
{
    record_writer w;
    unsigned flags = PyThreadState_Get()->tracing ? FLAG_UNTRACED : 0;
    record_begin(&w, scope->entry->id, KIND_CALLBACK, flags, scope->digest);
    w.plain = 1;
    encode_value(&w, value, &scope->call);
    return record_end(&w);
}

/* Replay cannot do this again: it is told once for each function. */
static void note_lost(callback_scope *scope, const frame_entry *entry)
{
    static PyCodeObject *told[64];
    size_t at = ((uintptr_t)entry->code >> 5) % (sizeof told / sizeof *told);
    PyErr_Clear();
    if (told[at] == entry->code)
        return;
    told[at] = entry->code;
    PyObject *text = PyUnicode_FromFormat("%U ran inside %U, which replay cannot repeat", entry->code->co_qualname,
                                          scope->entry->name);
    record_writer w;
    record_begin(&w, 0, KIND_NOTE, 0, 0);
    if (text)
        encode_value(&w, text, NULL);
    if (record_end(&w) < 0 || !text)
        PyErr_Clear();
    Py_XDECREF(text);
}

/* 1 with *instance (borrowed or NULL) when the record says what runs now; 0 when replay cannot know. */
static int record_entry(callback_scope *scope, const frame_entry *entry, int throwing, PyObject **instance)
{
    target found = {0};
    PyObject *both = NULL, *value = NULL;
    int failed = make_outcomes(scope) < 0 || !identify(&scope->call, entry, throwing, &found);
    if (!failed) {
        both = entry->function ? arguments(entry, found.skip) : Py_BuildValue("(()O)", Py_None);
        value = both ? PyTuple_Pack(4, found.object, found.name ? found.name : Py_None, PyTuple_GET_ITEM(both, 0),
                                    PyTuple_GET_ITEM(both, 1))
                     : NULL;
        failed = !value || write_callback(scope, value) < 0;
    }
    Py_XDECREF(both);
    Py_XDECREF(value);
    if (failed)
        note_lost(scope, entry);
    *instance = found.instance;
    return !failed;
}

/* Keeps what came of a callback: `result`, or NULL with an exception, which stays set. */
static void keep_outcome(callback_scope *scope, PyObject *result)
{
    PyObject *error = result ? NULL : PyErr_Occurred() ? error_take() : NULL;
    int failed = PyList_Append(scope->call.outcomes, result ? result : error ? error : Py_None);
    if (failed)
        PyErr_Clear();
    if (error)
        error_put_back(error);
}

static void record_return(callback_scope *scope)
{
    record_writer w;
    record_begin(&w, scope->entry->id, KIND_CALLED_BACK, 0, 0);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* twelve bytes of fixed form cannot fail to encode */
}

static PyObject *entered(PyThreadState *thread, frame *f, int throwing)
{
    callback_scope *scope = current;
    if (!scope || core_mode != MODE_RECORD)
        return frames_evaluate(thread, f, throwing);
    int hidden = core_hidden;
    PyObject *pending = throwing ? error_take() : NULL, *instance = NULL;
    current = NULL;
    watch(scope, 0);
    frame_entry entry = frames_entry(f);
    int recorded = record_entry(scope, &entry, throwing, &instance);
    Py_XINCREF(instance);
    if (pending)
        error_put_back(pending);
    core_hidden = recorded ? 0 : hidden;
    PyObject *result = frames_evaluate(thread, f, throwing);
    if (recorded && core_mode == MODE_RECORD) {
        keep_outcome(scope, result && instance ? instance : result);
        record_return(scope);
    }
    Py_XDECREF(instance);
    core_hidden = hidden;
    current = scope;
    watch(scope, 1);
    return result;
}

/* --- replay ----------------------------------------------------------------------------------------------- */

/* Calls what a CALLBACK record says: a new reference, or NULL with an exception. */
static PyObject *call_target(PyObject *object, PyObject *name, PyObject *args, PyObject *kwargs)
{
    if (name == Py_None)
        return PyObject_Call(object, args, kwargs);
    if (PyIter_Check(object) && PyUnicode_CompareWithASCIIString(name, "__next__") == 0) {
        PyObject *result = NULL;
        return PyIter_Send(object, Py_None, &result) == PYGEN_ERROR ? NULL : result;
    }
    PyObject *method = PyObject_GetAttr((PyObject *)Py_TYPE(object), name);
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    PyObject *all = method ? PyTuple_New(n + 1) : NULL;
    if (all)
        PyTuple_SET_ITEM(all, 0, Py_NewRef(object));
    for (Py_ssize_t i = 0; all && i < n; i++)
        PyTuple_SET_ITEM(all, i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
    PyObject *result = all ? PyObject_Call(method, all, kwargs) : NULL;
    Py_XDECREF(all);
    Py_XDECREF(method);
    return result;
}

/* The value of a CALLBACK record, checked. */
static PyObject *callback_value(callback_scope *scope, const record_view *record)
{
    const char *p = record->payload;
    core_hide();
    PyObject *value = decode_value(&p, p + record->size, &scope->call);
    core_show();
    if (!value) {
        PyObject *error = error_take();
        replay_diverged("what %U called back cannot be found (%S)", scope->entry->name, error);
    }
    if (!PyTuple_Check(value) || PyTuple_GET_SIZE(value) != 4 || !PyTuple_Check(PyTuple_GET_ITEM(value, 2)))
        replay_diverged("the record of a callback of %U is damaged", scope->entry->name);
    return value;
}

static void run_recorded(callback_scope *scope, const record_view *record)
{
    if (make_outcomes(scope) < 0)
        replay_diverged("no memory for a callback of %U", scope->entry->name);
    PyObject *value = callback_value(scope, record);
    PyObject *kwargs = PyTuple_GET_ITEM(value, 3);
    bool untraced = record->flags & FLAG_UNTRACED;
    stream_take();
    if (untraced)
        PyThreadState_EnterTracing(PyThreadState_Get());
    PyObject *result = call_target(PyTuple_GET_ITEM(value, 0), PyTuple_GET_ITEM(value, 1), PyTuple_GET_ITEM(value, 2),
                                   kwargs == Py_None ? NULL : kwargs);
    if (untraced)
        PyThreadState_LeaveTracing(PyThreadState_Get());
    Py_DECREF(value);
    keep_outcome(scope, result);
    PyErr_Clear();
    Py_XDECREF(result);
    replay_expect_return(scope->entry);
}

void callback_replay(callback_scope *scope)
{
    record_view record;
    while (replay_callback_is_next(scope->entry, &record)) {
        if (record.digest != scope->digest)
            return; /* the call's own check says what differs */
        run_recorded(scope, &record);
    }
}
