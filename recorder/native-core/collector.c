#include "silent.h" /* first: it wants the interpreter's internal headers */

#include "collector.h"
#include "control.h"
#include "deaths.h"
#include "decode.h"
#include "encode.h"
#include "gc_module.h"
#include "replay.h"
#include "running_generators.h"

#include <limits.h>
#include <string.h>

#define ALLOCATIONS 4000 /* net allocations between two silent collections */

static gc_state *state;             /* NULL before collector_open() */
static PyObject *collect;           /* gc.collect, before anybody could replace it */
static PyObject *program_callbacks; /* the list that the program knows as gc.callbacks */
static int program_threshold[NUM_GENERATIONS];
static PyGC_Head ours = {(uintptr_t)&ours, (uintptr_t)&ours}; /* objects of the recorder: never collected, never shown */
static int real;                    /* above 0: a recorded or explicit collection is asked for */
static enum silent_effect effect;   /* of the silent collections since the last real one */
static int saved_counts[NUM_GENERATIONS];

/* --- CPython's trigger ------------------------------------------------------------------------------ */

/* CPython collects the youngest generation by itself after this many more allocations, and no other. */
static void set_trigger(int from)
{
    int least = program_threshold[0] > ALLOCATIONS ? program_threshold[0] : ALLOCATIONS;
    state->generations[0].threshold = program_threshold[0] ? (from < INT_MAX - least ? from + least : INT_MAX) : 0;
    state->generations[1].threshold = state->generations[2].threshold = INT_MAX;
}

void collector_show_thresholds(void)
{
    for (int i = 0; i < NUM_GENERATIONS; i++)
        state->generations[i].threshold = program_threshold[i];
}

void collector_take_thresholds(void)
{
    for (int i = 0; i < NUM_GENERATIONS; i++)
        program_threshold[i] = state->generations[i].threshold;
    if (core_mode != MODE_OFF)
        set_trigger(state->generations[0].count);
}

/* CPython's own rule (gc_collect_generations): the oldest generation over its threshold; the oldest of
 * all only when the survivors of the last full collection have grown by a quarter. */
static int generation_due(void)
{
    for (int i = NUM_GENERATIONS - 1; i >= 0; i--) {
        if (state->generations[i].count <= program_threshold[i])
            continue;
        if (i == NUM_GENERATIONS - 1 && state->long_lived_pending < state->long_lived_total / 4)
            continue;
        return i;
    }
    return -1;
}

/* --- collections at recorded places --------------------------------------------------------------------- */

static void run(int generation)
{
    PyObject *error_type, *error, *traceback;
    PyErr_Fetch(&error_type, &error, &traceback);
    PyObject *number = PyLong_FromLong(generation);
    real++;
    PyObject *found = number ? PyObject_CallOneArg(collect, number) : NULL;
    real--;
    if (!found)
        PyErr_WriteUnraisable(collect);
    Py_XDECREF(number);
    Py_XDECREF(found);
    PyErr_Restore(error_type, error, traceback);
}

/* What a GC record is about: its digest. */
enum { AFTER_INPUT, ASKED_FOR, FOUND };

static void record_collection(int64_t generation, uint32_t place)
{
    record_writer w;
    record_begin(&w, 0, KIND_GC, 0, place);
    write_bytes(&w, "i", 1);
    write_bytes(&w, &generation, 8);
    if (record_end(&w) < 0)
        PyErr_WriteUnraisable(NULL);
}

void collector_after_input(void)
{
    if (!state || !state->enabled || state->collecting || !program_threshold[0])
        return;
    int generation = effect == SILENT_OLD                                 ? NUM_GENERATIONS - 1
                     : state->generations[0].count <= program_threshold[0] ? -1
                                                                           : generation_due();
    if (generation < 0)
        return;
    record_collection(generation, AFTER_INPUT);
    run(generation);
}

static void run_as_recorded(const record_view *record)
{
    int64_t generation;
    if (record->size != 9)
        replay_diverged("the record of a garbage collection is damaged");
    memcpy(&generation, record->payload + 1, 8);
    stream_take();
    if (generation >= 0)
        run((int)generation);
}

void collector_as_recorded(void)
{
    record_view record;
    if (stream_peek(&record) == 1 && record.kind == KIND_GC && record.digest == AFTER_INPUT)
        run_as_recorded(&record);
}

void collector_settle(int old_only)
{
    record_view record;
    if (core_hidden || core_mode == MODE_OFF)
        return;
    if (core_mode == MODE_RECORD) {
        int64_t generation = effect == SILENT_OLD ? NUM_GENERATIONS - 1 : effect == SILENT_YOUNG && !old_only ? 0 : -1;
        record_collection(generation, ASKED_FOR);
        if (generation >= 0)
            run((int)generation);
    } else if (!core_looking) {
        replay_expect_own(KIND_GC, &record);
        if (record.digest != ASKED_FOR)
            replay_diverged("the recording has an automatic garbage collection where the program uses its gc module");
        run_as_recorded(&record);
    }
    silent_put_back(state);
}

void collector_explicit(int delta)
{
    real += delta;
}

/* --- what CPython tells us ------------------------------------------------------------------------------ */

/* Replay frees in silence only where the recording did: elsewhere the program may have looked. */
static enum silent_effect allowed(void)
{
    if (core_mode == MODE_RECORD)
        return SILENT_OLD;
    unsigned flags = stream_next_flags();
    return flags & FLAG_SILENT_OLD ? SILENT_OLD : flags & FLAG_SILENT ? SILENT_YOUNG : SILENT_NOTHING;
}

static void remember(enum silent_effect now)
{
    effect = now > effect ? now : effect;
    if (core_mode == MODE_RECORD && now)
        record_flags_next |= now == SILENT_OLD ? FLAG_SILENT | FLAG_SILENT_OLD : FLAG_SILENT;
}

/* CPython is about to collect the youngest generation, by itself: it will find it empty. */
static void automatic_begins(void)
{
    enum silent_effect most = state->debug || core_is_finalizing() ? SILENT_NOTHING : allowed();
    if (most)
        remember(silent_collect(state, most == SILENT_OLD));
    else
        silent_set_aside(state);
    for (int i = 0; i < NUM_GENERATIONS; i++)
        saved_counts[i] = state->generations[i].count;
}

/* The program's own callbacks. What a collection has found differs between recording and replay by what was freed in
 * silence before it, so the program is told what the recording found. */
static int agree_on_findings(PyObject *info)
{
    record_view record;
    PyObject *collected = PyDict_GetItemString(info, "collected");
    PyObject *uncollectable = PyDict_GetItemString(info, "uncollectable");
    PyObject *both = collected && uncollectable ? PyTuple_Pack(2, collected, uncollectable) : NULL;
    if (!both)
        return -1;
    if (core_mode == MODE_RECORD) {
        record_writer w;
        record_begin(&w, 0, KIND_GC, 0, FOUND);
        encode_value(&w, both, NULL);
        Py_DECREF(both);
        return record_end(&w);
    }
    Py_DECREF(both);
    replay_expect_own(KIND_GC, &record);
    const char *p = record.payload;
    PyObject *recorded = decode_value(&p, p + record.size, NULL);
    if (record.digest != FOUND || !recorded || !PyTuple_Check(recorded) || PyTuple_GET_SIZE(recorded) != 2)
        replay_diverged("the record of a garbage collection is damaged");
    stream_take();
    int failed = PyDict_SetItemString(info, "collected", PyTuple_GET_ITEM(recorded, 0)) < 0 ||
                 PyDict_SetItemString(info, "uncollectable", PyTuple_GET_ITEM(recorded, 1)) < 0;
    Py_DECREF(recorded);
    return failed ? -1 : 0;
}

static void tell_program(PyObject *phase, PyObject *info, int is_over)
{
    if (PyList_GET_SIZE(program_callbacks) == 0)
        return;
    if (is_over && core_mode != MODE_OFF && !core_looking && agree_on_findings(info) < 0)
        PyErr_WriteUnraisable(NULL);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(program_callbacks); i++) {
        PyObject *callback = Py_NewRef(PyList_GET_ITEM(program_callbacks, i));
        PyObject *result = PyObject_CallFunctionObjArgs(callback, phase, info, NULL);
        if (!result)
            PyErr_WriteUnraisable(callback);
        Py_XDECREF(result);
        Py_DECREF(callback);
    }
}

static void real_begins(PyObject *phase, PyObject *info)
{
    silent_put_back(state);
    silent_release();
    effect = SILENT_NOTHING;
    tell_program(phase, info, 0);
}

static void real_is_over(PyObject *phase, PyObject *info)
{
    tell_program(phase, info, 1);
    if (core_mode == MODE_OFF)
        collector_show_thresholds();
    else
        set_trigger(state->generations[0].count);
}

/* The counts go on as if nothing had been: they decide when the next recorded collection is due. */
static void automatic_is_over(void)
{
    for (int i = 0; i < NUM_GENERATIONS; i++)
        state->generations[i].count = saved_counts[i];
    set_trigger(state->generations[0].count);
    if (!core_is_finalizing())
        return;
    silent_put_back(state); /* the last collection of all asks nobody */
    state->generations[0].threshold = 0;
}

static PyObject *on_collection(PyObject *Py_UNUSED(none), PyObject *const *args, Py_ssize_t n)
{
    static int automatic;
    PyObject *number = n == 2 ? PyDict_GetItemString(args[1], "generation") : NULL;
    if (!number)
        return PyErr_Format(PyExc_TypeError, "a phase and a dict with the generation are wanted");
    if (PyUnicode_CompareWithASCIIString(args[0], "start") == 0) {
        automatic = !real && core_mode != MODE_OFF && PyLong_AsLong(number) == 0;
        if (automatic)
            automatic_begins();
        else
            real_begins(args[0], args[1]);
    } else if (automatic) {
        automatic_is_over();
    } else {
        real_is_over(args[0], args[1]);
    }
    Py_RETURN_NONE;
}

/* --- taking over ------------------------------------------------------------------------------------------ */

/* Moves what follows `first`, and all of the younger generations, to our own list. */
static void hide_from(PyGC_Head *first)
{
    for (int i = 0; i < NUM_GENERATIONS; i++) {
        PyGC_Head *list = gc_generation(state, i), *at = gc_next(list), older;
        gc_list_empty(&older);
        while (at != list && at != first)
            at = gc_next(at);
        if (at == list) {
            gc_list_append(&ours, list);
            continue;
        }
        while (gc_next(list) != first)
            gc_list_move(&older, gc_next(list));
        gc_list_append(&ours, list);
        gc_list_append(list, &older);
        return;
    }
}

static PyObject *open_(PyObject *Py_UNUSED(module), PyObject *first)
{
    if (!PyObject_IS_GC(first) || !gc_is_tracked(first))
        return PyErr_Format(PyExc_TypeError, "a list is wanted");
    state = &PyInterpreterState_Get()->gc;
    state->enabled = 0;
    hide_from(gc_head(first));
    gc_list_append(gc_generation(state, 2), gc_generation(state, 0));
    gc_list_append(gc_generation(state, 2), gc_generation(state, 1));
    Py_RETURN_NONE;
}

static PyObject *take_over(PyObject *Py_UNUSED(module), PyObject *gc)
{
    static PyMethodDef definition = {"on_collection", (PyCFunction)(void (*)(void))on_collection, METH_FASTCALL, NULL};
    Py_XSETREF(collect, PyObject_GetAttrString(gc, "collect"));
    PyObject *callback = collect ? PyCFunction_New(&definition, NULL) : NULL;
    PyObject *callbacks = callback ? PyList_New(0) : NULL;
    int failed = callbacks ? PyList_Append(callbacks, callback) : -1;
    Py_XDECREF(callback);
    if (failed < 0 || deaths_prepare() < 0)
        return NULL;
    program_callbacks = state->callbacks;
    state->callbacks = callbacks;
    running_generators_take_over();
    Py_RETURN_NONE;
}

static PyObject *assign(PyObject *Py_UNUSED(module), PyObject *is_ours)
{
    gc_list_append(is_ours == Py_True ? &ours : gc_generation(state, 2), gc_generation(state, 0));
    Py_RETURN_NONE;
}

static PyObject *begin(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    gc_list_append(&ours, gc_generation(state, 0));
    state->long_lived_total = (Py_ssize_t)gc_list_length(gc_generation(state, 2));
    state->long_lived_pending = 0;
    for (int i = 0; i < NUM_GENERATIONS; i++)
        state->generations[i].count = 0;
    collector_take_thresholds();
    state->enabled = 1;
    Py_RETURN_NONE;
}

static PyObject *show_module(PyObject *Py_UNUSED(module), PyObject *gc)
{
    if (PyObject_SetAttrString(gc, "callbacks", program_callbacks) < 0 || gc_module_redirect(gc) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"collector_open", open_, METH_O,
     "collector_open(first): nothing is collected until collector_begin(); what was made after the list `first`, or is\n"
     "made until then, is the recorder's own."},
    {"collector_take_over", take_over, METH_O,
     "collector_take_over(gc): collections run at recorded places only; gc is a module of our own."},
    {"collector_assign", assign, METH_O,
     "collector_assign(is_ours): what was made since the last such call is the recorder's own, or the program's."},
    {"collector_begin", begin, METH_NOARGS, "collector_begin(): the program starts; the recorder's objects are hidden."},
    {"collector_show_module", show_module, METH_O,
     "collector_show_module(gc): the program's gc module shows the program's callbacks, switches and thresholds."},
    {0},
};

int collector_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
