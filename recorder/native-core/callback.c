#include "callback.h"
#include "audit.h"
#include "entering.h"
#include "errors.h"
#include "hidden.h"
#include "frames.h"
#include "replay.h"
#include "shared_memory.h"
#include "signals.h"
#include "threads.h"
#include "turn.h"
#include "unraisable.h"

#include <structmember.h>

/* --- watching ------------------------------------------------------------------------------------- */

static __thread callback_scope *current; /* the call whose original runs hidden on this thread */
static unsigned watching;                /* scopes that watch, of all threads */

static PyObject *entered(PyThreadState *thread, frame *f, int throwing);
static void read_members(const callback_scope *scope, member_value *values);
static void record_changes(callback_scope *scope);
static void record_warned(callback_scope *scope);

static void watch(callback_scope *scope, int on)
{
    if (on && callback_reporting) {
        scope->reports = true;
        unraisable_open();
    } else if (scope->reports) {
        scope->reports = false;
        unraisable_close();
    }
    if (!scope->watched)
        return;
    watching += on ? 1u : -1u;
    frames_set_hook(watching ? entered : NULL);
}

void callback_watch(callback_scope *scope, boundary_entry *entry, const boundary_call *call, uint32_t digest)
{
    /* Other threads run while a call blocks: they must not run under the hook. */
    bool is_quiet = entry->is_python && entry->policy != POLICY_SOURCE && !audit_hooks();
    bool watched = !is_quiet && !(entry->blocking && turn_is_shared) &&
                   entry->policy != POLICY_ALONE;
    *scope = (callback_scope){current, entry, *call, digest, watched, false, {{0}}, {0}};
    if (!entry->is_python)
        scope->warned = warned_before();
    if (entry->changes[0])
        read_members(scope, scope->before);
    current = scope;
    watch(scope, 1);
}

void callback_unwatch(callback_scope *scope)
{
    current = scope->outer;
    watch(scope, 0);
    if (scope->entry->changes[0])
        record_changes(scope);
    record_warned(scope);
}

bool callback_is_in(const callback_scope *scope)
{
    return current == scope;
}

/* The scopes of other threads are gone with them. */
void callback_forked(callback_scope *scope)
{
    current = scope->outer;
    watch(scope, 0);
    watching = 0;
    unraisable_forked();
    frames_set_hook(NULL);
}

void callback_done(callback_scope *scope)
{
    Py_CLEAR(scope->call.outcomes);
}

/* --- recording ------------------------------------------------------------------------------------------ */

static int make_outcomes(callback_scope *scope)
{
    if (!scope->call.outcomes)
        scope->call.outcomes = PyList_New(0);
    return scope->call.outcomes ? 0 : -1;
}

static int write_callback(callback_scope *scope, PyObject *value, const boundary_call *call)
{
    record_writer w;
    unsigned flags = PyThreadState_Get()->tracing ? FLAG_UNTRACED : 0;
    record_begin(&w, scope->entry->id, KIND_CALLBACK, flags, scope->digest);
    w.plain = 1;
    encode_value(&w, value, call);
    return record_end(&w);
}

/* Replay cannot do this again: it is told once for each function, or each call that a callback was made from. */
static void note_lost(callback_scope *scope, const frame_entry *entry)
{
    static const void *told[64];
    const void *what = entry ? (void *)entry->code : (void *)scope->entry;
    size_t at = ((uintptr_t)what >> 5) % (sizeof told / sizeof *told);
    PyErr_Clear();
    if (told[at] == what)
        return;
    told[at] = what;
    PyObject *text = PyUnicode_FromFormat("%V ran inside %U, which replay cannot repeat",
                                          entry ? entry->code->co_qualname : NULL, "a callback", scope->entry->name);
    record_writer w;
    record_begin(&w, 0, KIND_NOTE, 0, 0);
    if (text)
        encode_value(&w, text, NULL);
    if (record_end(&w) < 0 || !text)
        PyErr_Clear();
    Py_XDECREF(text);
}

/* (target, name, args, kwargs) of what is being entered, a new reference; NULL when replay could not find it. */
static PyObject *entry_value(callback_scope *scope, const frame_entry *entry, int throwing, PyObject **instance)
{
    entering_target found = {0};
    PyObject *warning = entering_warning(entry);
    if (warning || PyErr_Occurred())
        return warning ? Py_BuildValue("(iONO)", CALLBACK_WARNING, Py_None, warning, Py_None) : NULL;
    if (!entering_identify(&scope->call, entry, throwing, &found))
        return NULL;
    PyObject *both = entry->function ? entering_arguments(entry, found.skip) : Py_BuildValue("(()O)", Py_None);
    PyObject *value = both ? PyTuple_Pack(4, found.object, found.name ? found.name : Py_None, PyTuple_GET_ITEM(both, 0),
                                          PyTuple_GET_ITEM(both, 1))
                           : NULL;
    Py_XDECREF(both);
    *instance = found.instance;
    return value;
}

/* 1 with *instance (borrowed or NULL) when the record says what runs now; 0 when replay cannot know. */
static int record_entry(callback_scope *scope, const frame_entry *entry, int throwing, PyObject **instance)
{
    if (entering_is_part_of_warning(entry))
        return 0;
    PyObject *value = make_outcomes(scope) < 0 ? NULL : entry_value(scope, entry, throwing, instance);
    int failed = !value || write_callback(scope, value, &scope->call) < 0;
    Py_XDECREF(value);
    if (failed)
        note_lost(scope, entry);
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

/* From inside an original back into the program, and back: other threads may have the turn now. */
typedef struct {
    callback_scope *scope;
    int hidden;
    hidden_state ours;     /* of Python code that runs as an original */
    bool without_turn;
} suspension;

static void suspend(suspension *s, callback_scope *scope)
{
    *s = (suspension){scope, core_hidden, {0}, threads_without_turn()};
    current = NULL;
    watch(scope, 0);
    if (s->without_turn)
        threads_take_turn();
}

/* What runs next is recorded as the program's; and back. */
static void show_program(suspension *s)
{
    if (s->scope->entry->is_python)
        hidden_pause(&s->ours);
    core_hidden = 0;
}

static void hide_again(const suspension *s)
{
    if (s->scope->entry->is_python)
        hidden_resume(&s->ours);
    core_hidden = s->hidden;
}

static void go_on(const suspension *s)
{
    if (s->without_turn)
        threads_give_turn();
    current = s->scope;
    watch(s->scope, 1);
}

PyObject *callback_record(int64_t target, callback_run run, PyObject *self, PyObject *args, PyObject *kwargs)
{
    suspension s;
    callback_scope *scope = current;
    if (!scope || core_mode != MODE_RECORD)
        return run(self, args, kwargs);
    suspend(&s, scope);
    PyObject *value = make_outcomes(scope) < 0
                          ? NULL
                          : Py_BuildValue("(LOOO)", (long long)target, Py_None, args, kwargs ? kwargs : Py_None);
    bool recorded = value && write_callback(scope, value, &scope->call) == 0;
    if (!recorded)
        note_lost(scope, NULL);
    if (recorded && target == CALLBACK_SIGNAL)
        shared_memory_record_inside();
    if (recorded)
        show_program(&s);
    PyObject *result = run(self, args, kwargs);
    if (recorded)
        hide_again(&s);
    if (recorded && core_mode == MODE_RECORD) {
        keep_outcome(scope, result);
        record_return(scope);
    }
    Py_XDECREF(value);
    go_on(&s);
    return result;
}

bool callback_is_open(void)
{
    return current && !current->entry->is_python;
}

static PyObject *find_codec(PyObject *Py_UNUSED(none), PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    return entering_find_codec(PyTuple_GET_ITEM(args, 0));
}

/* Finds the codec visibly first; what is being entered then finds it again, hidden, and without effect. */
static void record_codec(const frame_entry *entry)
{
    PyObject *args = PyTuple_Pack(1, entry->locals[0]);
    PyObject *done = args ? callback_record(CALLBACK_CODEC, find_codec, NULL, args, NULL) : NULL;
    if (!done)
        PyErr_Clear(); /* the lookup that is going on meets the same error */
    Py_XDECREF(done);
    Py_XDECREF(args);
}

static PyObject *entered(PyThreadState *thread, frame *f, int throwing)
{
    suspension s;
    callback_scope *scope = current;
    if (!scope || core_mode != MODE_RECORD)
        return frames_evaluate(thread, f, throwing);
    frame_entry entry = frames_entry(f);
    if (scope->entry->is_python && !entering_from_compiler(&entry) && !audit_is_hook(entry.function))
        return frames_evaluate(thread, f, throwing);
    PyObject *pending = throwing ? error_take() : NULL, *instance = NULL;
    bool codec = entering_codec(&entry), unseen = codec || entering_host_name(&entry);
    if (codec)
        record_codec(&entry);
    suspend(&s, scope);
    int recorded = !unseen && record_entry(scope, &entry, throwing, &instance);
    Py_XINCREF(instance);
    if (pending)
        error_put_back(pending);
    if (recorded)
        show_program(&s);
    PyObject *result = frames_evaluate(thread, f, throwing);
    if (recorded)
        hide_again(&s);
    if (recorded && core_mode == MODE_RECORD) {
        keep_outcome(scope, result && instance ? instance : result);
        record_return(scope);
    }
    Py_XDECREF(instance);
    go_on(&s);
    return result;
}

/* --- members that change -------------------------------------------------------------------------- */

static void read_members(const callback_scope *scope, member_value *values)
{
    PyMemberDef *const *m = scope->entry->changes;
    for (int i = 0; i < BOUNDARY_CHANGES; i++) {
        const char *at = m[i] ? (char *)scope->call.self + m[i]->offset : NULL;
        bool is_object = m[i] && m[i]->type == T_OBJECT;
        values[i] = (member_value){m[i] && !is_object ? *(const long *)at : 0, is_object ? *(PyObject *const *)at : NULL};
        Py_XINCREF(values[i].object);
    }
}

static void write_int(record_writer *w, int64_t number)
{
    write_bytes(w, "i", 1);
    write_bytes(w, &number, sizeof number);
}

/* (CALLBACK_CHANGED, None, pairs (which, value), None), without making these objects: it is written often. */
static int write_changes(callback_scope *scope, const bool *changed, uint32_t n)
{
    record_writer w;
    record_begin(&w, scope->entry->id, KIND_CALLBACK, 0, scope->digest);
    w.plain = 1;
    write_bytes(&w, "(\4\0\0\0", 5);
    write_int(&w, CALLBACK_CHANGED);
    write_bytes(&w, "N(", 2);
    write_count(&w, n);
    for (int i = 0; i < BOUNDARY_CHANGES; i++) {
        if (!changed[i])
            continue;
        PyObject *value = PyMember_GetOne((char *)scope->call.self, scope->entry->changes[i]);
        write_bytes(&w, "(\2\0\0\0", 5);
        write_int(&w, i);
        if (value)
            encode_value(&w, value, NULL);
        else
            w.failed = 1;
        Py_XDECREF(value);
    }
    write_bytes(&w, "N", 1);
    return record_end(&w);
}

/* Writes which of the members that the call may change did change. Nothing of what was called back follows in this call:
 * that None came of it need not be kept. */
static void record_changes(callback_scope *scope)
{
    member_value now[BOUNDARY_CHANGES];
    bool changed[BOUNDARY_CHANGES];
    uint32_t n = 0;
    read_members(scope, now);
    for (int i = 0; i < BOUNDARY_CHANGES; i++) {
        changed[i] = now[i].object != scope->before[i].object || now[i].number != scope->before[i].number;
        n += changed[i];
        Py_XDECREF(now[i].object);
    }
    PyObject *error = n && PyErr_Occurred() ? error_take() : NULL;
    if (n && write_changes(scope, changed, n) == 0)
        record_return(scope);
    else if (n)
        PyErr_Clear(); /* out of memory: the record of the change is left out, and replay will differ */
    for (int i = 0; i < BOUNDARY_CHANGES; i++)
        Py_XDECREF(scope->before[i].object);
    if (error)
        error_put_back(error);
}

/* What C code has noted of its warnings, which may have been turned into the exception of the call. */
static void record_warned(callback_scope *scope)
{
    PyObject *error = PyErr_Occurred() ? error_take() : NULL, *args = warned_since(&scope->warned);
    PyObject *value = args ? Py_BuildValue("(iONO)", CALLBACK_WARNED, Py_None, args, Py_None) : NULL;
    if (value && write_callback(scope, value, &scope->call) == 0)
        record_return(scope);
    else if (PyErr_Occurred())
        note_lost(scope, NULL);
    Py_XDECREF(value);
    if (error)
        error_put_back(error);
}

/* In replay: args are pairs (which, value). */
static PyObject *change_members(callback_scope *scope, PyObject *args)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
        int which;
        PyObject *value;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(args, i), "iO", &which, &value))
            return NULL;
        if (which < 0 || which >= BOUNDARY_CHANGES || !scope->entry->changes[which])
            replay_diverged("the record of a change by %U is damaged", scope->entry->name);
        PyMemberDef member = *scope->entry->changes[which];
        member.flags = 0;
        if (PyMember_SetOne((char *)scope->call.self, &member, value) < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

/* --- replay ----------------------------------------------------------------------------------------------- */

/* Calls what a CALLBACK record says: a new reference, or NULL with an exception. */
static PyObject *call_target(callback_scope *scope, PyObject *object, PyObject *name, PyObject *args, PyObject *kwargs)
{
    if (PyLong_CheckExact(object) && PyLong_AsLong(object) == CALLBACK_CHANGED)
        return change_members(scope, args);
    if (PyLong_CheckExact(object) && PyLong_AsLong(object) == CALLBACK_WARNING)
        return entering_warn(args);
    if (PyLong_CheckExact(object) && PyLong_AsLong(object) == CALLBACK_WARNED)
        return warned_again(args);
    if (PyLong_CheckExact(object) && PyLong_AsLong(object) == CALLBACK_CODEC)
        return find_codec(NULL, args, NULL);
    if (PyLong_CheckExact(object) && PyLong_AsLong(object) == CALLBACK_SIGNAL) {
        shared_memory_replay_inside();
        return signals_call_back(NULL, args, NULL);
    }
    if (PyLong_CheckExact(object))
        return numbered_replay(object, args, kwargs);
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
    PyObject *result = call_target(scope, PyTuple_GET_ITEM(value, 0), PyTuple_GET_ITEM(value, 1), PyTuple_GET_ITEM(value, 2),
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
