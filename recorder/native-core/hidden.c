/* Our own code in the program's thread: the program neither sees it nor is disturbed by it. */
#include "hidden.h"

#include "audit.h"
#include "control.h"
#include "errors.h"
#include "ticks.h"

#include <string.h>

/* Our own code must not hit the program's recursion limit: it has room of its own. */
#define HIDDEN_FRAMES 400

static __thread const frame *shown; /* where the program stood when it came into hidden code */
static __thread bool audible;       /* what runs hidden is what the program has called: its audit hooks hear of it */
static __thread bool silenced;

static PyThreadState *own_state(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked();
#else
    return _PyThreadState_UncheckedGet();
#endif
}

static inline void give_room(PyThreadState *tstate, int frames)
{
#if PY_VERSION_HEX >= 0x030C0000
    tstate->py_recursion_remaining += frames;
    tstate->c_recursion_remaining += frames;
#else
    tstate->recursion_remaining += frames;
#endif
}

/* The program's own trace functions and monitoring tools are not told of our code. There is no thread state at the
 * very end of the interpreter. */
void core_hide(void)
{
    PyThreadState *tstate = core_hidden++ == 0 ? own_state() : NULL;
    if (tstate) {
        give_room(tstate, HIDDEN_FRAMES);
        PyThreadState_EnterTracing(tstate);
        shown = frames_top(tstate);
        if (!audible)
            audit_silence();
        silenced = !audible;
    }
    ticks_hide();
}

void core_show(void)
{
    PyThreadState *tstate = --core_hidden == 0 ? own_state() : NULL;
    if (tstate) {
        if (silenced)
            audit_sound();
        silenced = false;
        PyThreadState_LeaveTracing(tstate);
        give_room(tstate, -HIDDEN_FRAMES);
    }
    ticks_show();
}

void hidden_begin_audible(void)
{
    audible = true;
    core_hide();
}

void hidden_end_audible(void)
{
    core_show();
    audible = false;
}

void hidden_pause(hidden_state *state)
{
    PyThreadState *tstate = PyThreadState_Get();
    *state = (hidden_state){core_hidden, audible, shown, frames_top(tstate)};
    if (core_hidden)
        frames_set_top(tstate, shown);
    while (core_hidden)
        core_show();
    audible = false;
}

void hidden_resume(const hidden_state *state)
{
    audible = state->audible;
    while (core_hidden < state->depth)
        core_hide();
    if (state->depth)
        frames_set_top(PyThreadState_Get(), state->own);
    shown = state->shown;
}

static PyObject *visible(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *function, *arguments, *keywords = NULL;
    if (!PyArg_ParseTuple(args, "OO!|O", &function, &PyTuple_Type, &arguments, &keywords))
        return NULL;
    hidden_state state;
    hidden_pause(&state);
    PyObject *result = PyObject_Call(function, arguments, keywords == Py_None ? NULL : keywords);
    hidden_resume(&state);
    return result;
}

/* --- tracebacks -------------------------------------------------------------------------------------- */

static PyObject *folder; /* of our own code */

static bool is_ours(PyTracebackObject *entry)
{
    PyCodeObject *code = PyFrame_GetCode(entry->tb_frame);
    bool ours = folder && PyUnicode_Tailmatch(code->co_filename, folder, 0, PY_SSIZE_T_MAX, -1) == 1;
    Py_DECREF(code);
    return ours;
}

void hidden_clean_traceback(void)
{
    PyObject *error = error_take(), *first = PyException_GetTraceback(error);
    while (first && is_ours((PyTracebackObject *)first))
        Py_SETREF(first, Py_XNewRef(((PyTracebackObject *)first)->tb_next));
    PyException_SetTraceback(error, first ? first : Py_None);
    for (PyTracebackObject *at = (PyTracebackObject *)first; at; at = at->tb_next)
        while (at->tb_next && is_ours(at->tb_next))
            Py_SETREF(at->tb_next, (PyTracebackObject *)Py_XNewRef((PyObject *)at->tb_next->tb_next));
    Py_XDECREF(first);
    error_put_back(error);
}

static PyObject *set_folder(PyObject *Py_UNUSED(module), PyObject *path)
{
    if (!PyUnicode_Check(path))
        return PyErr_Format(PyExc_TypeError, "a path is wanted");
    Py_XSETREF(folder, Py_NewRef(path));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"visible", visible, METH_VARARGS, "visible(function, args, kwargs=None): calls it as part of the program."},
    {"own_folder", set_folder, METH_O, "own_folder(path): code from files under it does not show in tracebacks."},
    {0},
};

int hidden_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
