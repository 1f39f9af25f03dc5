#define Py_BUILD_CORE 1 /* the generations' counters have no public interface that allocates nothing */
#include "collector.h"
#include "decode.h"
#include "encode.h"

#include <internal/pycore_interp.h>
#include <string.h>

static struct _gc_runtime_state *state;
static PyObject *collect;       /* gc.collect, before anybody could replace it */
static int program_enabled = 1; /* what gc.isenabled() says */
static int collecting;

/* CPython's own rule (gc_collect_generations): the oldest generation over its threshold; the oldest of
 * all only when the survivors of the last full collection have grown by a quarter. */
static int generation_due(void)
{
    for (int i = NUM_GENERATIONS - 1; i >= 0; i--) {
        if (state->generations[i].count <= state->generations[i].threshold)
            continue;
        if (i == NUM_GENERATIONS - 1 && state->long_lived_pending < state->long_lived_total / 4)
            continue;
        return i;
    }
    return -1;
}

static void run(int generation)
{
    PyObject *error_type, *error, *traceback;
    PyErr_Fetch(&error_type, &error, &traceback);
    PyObject *number = PyLong_FromLong(generation);
    collecting = 1;
    PyObject *found = number ? PyObject_CallOneArg(collect, number) : NULL;
    collecting = 0;
    if (!found)
        PyErr_WriteUnraisable(collect);
    Py_XDECREF(number);
    Py_XDECREF(found);
    PyErr_Restore(error_type, error, traceback);
}

void collector_after_input(void)
{
    if (!state || state->generations[0].count <= state->generations[0].threshold || !program_enabled || collecting ||
        !state->generations[0].threshold || state->collecting)
        return;
    int generation = generation_due();
    if (generation < 0)
        return;
    record_writer w;
    record_begin(&w, 0, KIND_GC, 0, 0);
    char tag = 'i';
    int64_t number = generation;
    write_bytes(&w, &tag, 1);
    write_bytes(&w, &number, 8);
    if (record_end(&w) < 0)
        PyErr_WriteUnraisable(NULL);
    run(generation);
}

void collector_as_recorded(void)
{
    record_view record;
    if (stream_peek(&record) != 1 || record.kind != KIND_GC || record.size != 9)
        return;
    int64_t generation;
    memcpy(&generation, record.payload + 1, 8);
    stream_take();
    run((int)generation);
}

static PyObject *enable(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    program_enabled = 1;
    Py_RETURN_NONE;
}

static PyObject *disable(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    program_enabled = 0;
    Py_RETURN_NONE;
}

static PyObject *isenabled(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return PyBool_FromLong(program_enabled);
}

/* gc.enable, gc.disable and gc.isenabled keep their objects and change what they do. */
static int redirect(PyObject *gc, const char *name, PyCFunction function)
{
    PyObject *found = PyObject_GetAttrString(gc, name);
    if (!found || !PyCFunction_Check(found)) {
        Py_XDECREF(found);
        return -1;
    }
    PyMethodDef *def = PyMem_Malloc(sizeof *def);
    if (!def) {
        Py_DECREF(found);
        PyErr_NoMemory();
        return -1;
    }
    *def = *((PyCFunctionObject *)found)->m_ml;
    def->ml_meth = function;
    ((PyCFunctionObject *)found)->m_ml = def;
    Py_DECREF(found);
    return 0;
}

static PyObject *take_over(PyObject *Py_UNUSED(module), PyObject *gc)
{
    Py_XSETREF(collect, PyObject_GetAttrString(gc, "collect"));
    if (!collect)
        return NULL;
    state = &PyInterpreterState_Get()->gc;
    program_enabled = state->enabled;
    state->enabled = 0;
    Py_RETURN_NONE;
}

static PyObject *show_switch(PyObject *Py_UNUSED(module), PyObject *gc)
{
    if (redirect(gc, "enable", enable) < 0 || redirect(gc, "disable", disable) < 0 ||
        redirect(gc, "isenabled", isenabled) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"collector_take_over", take_over, METH_O,
     "collector_take_over(gc): from now on collections run at recorded places only; gc is a module of our own."},
    {"collector_show_switch", show_switch, METH_O,
     "collector_show_switch(gc): enable, disable and isenabled of the program's gc keep a switch of their own."},
    {0},
};

int collector_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
