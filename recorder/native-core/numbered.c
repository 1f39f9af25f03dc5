/* Callbacks with a number: what stands for a callable of the program where C code keeps it for later. */
#include "callback.h"
#include "errors.h"
#include "replay.h"
#include "unraisable.h"

typedef struct {
    PyObject_HEAD
    PyObject *callable;
    PyObject *made;        /* (result) -> result, run hidden after each call; or NULL */
    uint32_t number;
} numbered;

static numbered **numbers; /* borrowed; NULL where one has died */
static uint32_t numbers_used, numbers_size;

/* Calls it as part of the program: the same in recording and replay. */
static PyObject *call_numbered(PyObject *op, PyObject *args, PyObject *kwargs)
{
    numbered *self = (numbered *)op;
    PyObject *result = PyObject_Call(self->callable, args, kwargs);
    if (result && self->made) {
        core_hide();
        Py_SETREF(result, PyObject_CallOneArg(self->made, result));
        core_show();
    }
    return result;
}

static PyObject *numbered_call(PyObject *op, PyObject *args, PyObject *kwargs)
{
    if (core_mode == MODE_REPLAY && core_hidden) /* our own doing: what the recorded call called back is in the record */
        Py_RETURN_NONE;
    return callback_record(((numbered *)op)->number, call_numbered, op, args, kwargs);
}

/* args: (exception, number of the callback that it is told of). As C code does it: it goes to the program's hook. */
static PyObject *tell_unraisable(PyObject *Py_UNUSED(none), PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    PyObject *error;
    unsigned number;
    if (!PyArg_ParseTuple(args, "OI", &error, &number))
        return NULL;
    bool stood = unraisable_show(); /* where a thread runs that is in no original, while another is */
    error_put_back(Py_NewRef(error));
    PyErr_WriteUnraisable(number < numbers_used && numbers[number] ? numbers[number]->callable : NULL);
    if (stood)
        unraisable_hide();
    Py_RETURN_NONE;
}

static PyObject *on_unraisable(PyObject *Py_UNUSED(none), PyObject *unraisable)
{
    PyObject *error = PyObject_GetAttrString(unraisable, "exc_value");
    PyObject *object = error ? PyObject_GetAttrString(unraisable, "object") : NULL;
    bool known = object && Py_TYPE(object)->tp_call == numbered_call;
    PyObject *args = object ? Py_BuildValue("(OI)", error, known ? ((numbered *)object)->number : UINT32_MAX) : NULL;
    PyObject *result = args ? callback_record(CALLBACK_UNRAISABLE, tell_unraisable, NULL, args, NULL) : NULL;
    Py_XDECREF(error);
    Py_XDECREF(object);
    Py_XDECREF(args);
    return result;
}

PyObject *numbered_replay(PyObject *target, PyObject *args, PyObject *kwargs)
{
    if (PyLong_AsLong(target) == CALLBACK_UNRAISABLE)
        return tell_unraisable(NULL, args, NULL);
    size_t number = PyLong_AsSize_t(target);
    if (number >= numbers_used || !numbers[number])
        replay_diverged("the recording calls back callback %S, which does not live here", target);
    PyObject *callback = Py_NewRef((PyObject *)numbers[number]);
    PyObject *result = call_numbered(callback, args, kwargs);
    Py_DECREF(callback);
    return result;
}

static PyMethodDef reporter_definition = {"unraisablehook", on_unraisable, METH_O, NULL};

static void numbered_dealloc(PyObject *op)
{
    numbered *self = (numbered *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    numbers[self->number] = NULL;
    Py_CLEAR(self->callable);
    Py_CLEAR(self->made);
    type->tp_free(op);
    Py_DECREF(type);
}

static int numbered_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((numbered *)op)->callable);
    return 0;
}

static int numbered_clear(PyObject *op)
{
    Py_CLEAR(((numbered *)op)->callable);
    return 0;
}

static PyType_Slot numbered_slots[] = {
    {Py_tp_call, numbered_call},
    {Py_tp_dealloc, numbered_dealloc},
    {Py_tp_traverse, numbered_traverse},
    {Py_tp_clear, numbered_clear},
    {0},
};

static PyType_Spec numbered_spec = {
    .name = "retroscope.recorder._core.callback",
    .basicsize = sizeof(numbered),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = numbered_slots,
};

static PyTypeObject *numbered_type; /* made at start-up, before the program may be warned of anything */

static PyObject *callback(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *callable, *made = Py_None;
    if (!PyArg_ParseTuple(args, "O|O", &callable, &made))
        return NULL;
    if (numbers_used == numbers_size) {
        uint32_t size = numbers_size ? numbers_size * 2 : 64;
        numbered **bigger = PyMem_Realloc(numbers, size * sizeof *numbers);
        if (!bigger)
            return PyErr_NoMemory();
        numbers = bigger;
        numbers_size = size;
    }
    numbered *self = PyObject_GC_New(numbered, numbered_type);
    if (!self)
        return NULL;
    self->callable = Py_NewRef(callable);
    self->made = made == Py_None ? NULL : Py_NewRef(made);
    self->number = numbers_used;
    numbers[numbers_used++] = self;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyObject *callback_target(PyObject *Py_UNUSED(module), PyObject *object)
{
    return Py_NewRef(Py_TYPE(object)->tp_call == numbered_call ? ((numbered *)object)->callable : object);
}

static PyObject *set_reporting(PyObject *Py_UNUSED(module), PyObject *arg)
{
    int on = PyObject_IsTrue(arg);
    if (on < 0 || (!callback_reporter && !(callback_reporter = PyCFunction_New(&reporter_definition, NULL))))
        return NULL;
    callback_reporting = on;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"callback", callback, METH_VARARGS,
     "callback(callable, made=None): stands for the callable where C code keeps it; made(result) -> result runs hidden\n"
     "after each call. To be created at the same places in recording and replay."},
    {"callback_target", callback_target, METH_O, "callback_target(object): what a callback stands for; anything else as is."},
    {"callbacks_report", set_reporting, METH_O,
     "callbacks_report(on): may originals tell sys.unraisablehook of exceptions in their callbacks?"},
    {0},
};

int callback_register(PyObject *module)
{
    if (!numbered_type && !(numbered_type = (PyTypeObject *)PyType_FromSpec(&numbered_spec)))
        return -1;
    return PyModule_AddFunctions(module, functions);
}
