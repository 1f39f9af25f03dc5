/* Start-up and end of a recorded or replaying interpreter; what startup.py cannot do in Python. */
#define _GNU_SOURCE
#include "allocations.h"
#include "blake2b.h"
#include "boundary.h"
#include "branch.h"
#include "control.h"
#include "decode.h"
#include "errors.h"
#include "forks.h"
#include "handle.h"
#include "output.h"
#include "replay.h"
#include "turn.h"
#include "tracer.h"

#include <signal.h>
#include <string.h>
#include <structmember.h>
#include <unistd.h>

/* --- opening the stream --------------------------------------------------------------------------- */

static void at_exit(void)
{
    record_writer w;
    if (core_mode == MODE_RECORD) {
        record_begin(&w, 0, KIND_END, 0, 0);
        write_bytes(&w, "N", 1);
        if (record_end(&w) == 0)
            record_close();
    } else if (core_mode == MODE_REPLAY) {
        record_view record;
        if (replay_has_more() && !branch_is_here) {
            replay_expect_own(KIND_END, &record);
            stream_take();
        }
        replay_record_ends();
    }
}

/* The drain is not our parent, and cannot learn it otherwise. */
static void on_exit_status(int status, void *Py_UNUSED(nothing))
{
    if (core_mode == MODE_RECORD)
        record_exits(status);
}

static int enter(int mode)
{
    core_mode = mode;
    allocations_watch();
    core_hide();
    if (Py_AtExit(at_exit) < 0 || forks_watch() != 0 || on_exit(on_exit_status, NULL) != 0) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter takes no more exit functions");
        return -1;
    }
    return 0;
}

static PyObject *record_open(PyObject *Py_UNUSED(module), PyObject *arg)
{
    int fd = (int)PyLong_AsLong(arg);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    if (record_attach(fd) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    output_open();
    turn_enter(1);
    if (enter(MODE_RECORD) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *tracer_exchanged(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    tracer_check();
    Py_RETURN_NONE;
}

static PyObject *descriptor_duplicated(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    output_duplicated();
    Py_RETURN_NONE;
}

static PyObject *replay_open(PyObject *Py_UNUSED(module), PyObject *arg)
{
    int fd = (int)PyLong_AsLong(arg);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    if (stream_map(fd) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (enter(MODE_REPLAY) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *replaying(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return PyBool_FromLong(core_mode == MODE_REPLAY);
}

static PyObject *start(PyObject *Py_UNUSED(module), PyObject *configuration)
{
    if (core_mode == MODE_RECORD) {
        record_writer w;
        record_begin(&w, 0, KIND_START, 0, 0);
        encode_value(&w, configuration, NULL);
        return record_end(&w) < 0 ? NULL : Py_NewRef(configuration);
    }
    record_view record;
    if (stream_peek(&record) != 1 || record.kind != KIND_START) {
        PyErr_SetString(PyExc_ValueError, "the recording ended before the program began");
        return NULL;
    }
    const char *p = record.payload;
    PyObject *recorded = decode_value(&p, p + record.size, NULL);
    if (recorded)
        stream_take();
    return recorded;
}

static PyObject *own_source(PyObject *Py_UNUSED(module), PyObject *program)
{
    if (core_mode == MODE_RECORD) {
        PyObject *path, *content, *error = NULL;
        if (!PyArg_ParseTuple(program, "US|O", &path, &content, &error))
            return NULL;
        unsigned char hash[16];
        blake2b_16(hash, PyBytes_AS_STRING(content), (size_t)PyBytes_GET_SIZE(content));
        const char *form = error ? "OOy#OO" : "OOy#";
        PyObject *value = Py_BuildValue(form, path, content, hash, (Py_ssize_t)sizeof hash, Py_None, error);
        record_writer w;
        record_begin(&w, 0, KIND_SOURCE, 0, 0);
        if (value)
            encode_value(&w, value, NULL);
        Py_XDECREF(value);
        return record_end(&w) < 0 || !value ? NULL : Py_NewRef(program);
    }
    record_view record;
    replay_expect_own(KIND_SOURCE, &record);
    const char *p = record.payload;
    PyObject *recorded = decode_value(&p, p + record.size, NULL);
    if (recorded)
        stream_take();
    return recorded;
}

static PyObject *blake2b(PyObject *Py_UNUSED(module), PyObject *content)
{
    unsigned char hash[16];
    if (!PyBytes_Check(content))
        return PyErr_Format(PyExc_TypeError, "bytes are wanted");
    blake2b_16(hash, PyBytes_AS_STRING(content), (size_t)PyBytes_GET_SIZE(content));
    return PyBytes_FromStringAndSize((char *)hash, sizeof hash);
}

static PyObject *note(PyObject *Py_UNUSED(module), PyObject *text)
{
    if (core_mode == MODE_RECORD) {
        record_writer w;
        record_begin(&w, 0, KIND_NOTE, 0, 0);
        encode_value(&w, text, NULL);
        if (record_end(&w) < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

/* --- running the program ---------------------------------------------------------------------------- */

/* Our own frames must not show in the program's stacks: it begins with an empty one. */
static void detach_frames(void)
{
    PyThreadState *tstate = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x030D0000
    tstate->current_frame = NULL;
#else
    tstate->cframe->current_frame = NULL;
#endif
}

/* Gives the program a `__main__` of its own. Ours is held by C frames that never return: it could not die when the
 * program ends, and what is finalized then would find its globals set to None. */
static int renew_main(void)
{
    PyObject *modules = PyImport_GetModuleDict(), *old = PyDict_GetItemString(modules, "__main__");
    PyObject *ours = PyModule_GetDict(old), *annotations = NULL;
    PyObject *main = PyModule_New("__main__");
    PyObject *importlib = main ? PyImport_ImportModule("_frozen_importlib") : NULL;
    PyObject *loader = importlib ? PyObject_GetAttrString(importlib, "BuiltinImporter") : NULL;
    int failed = !loader || PyObject_SetAttrString(main, "__loader__", loader) < 0;
    if (!failed && PyDict_GetItemString(ours, "__annotations__")) {
        annotations = PyDict_New();
        failed = !annotations || PyObject_SetAttrString(main, "__annotations__", annotations) < 0;
    }
    PyObject_GC_UnTrack(old); /* gc does not show what is not the program's */
    PyObject_GC_UnTrack(ours);
    failed = failed || PyObject_SetAttrString(main, "__builtins__", PyDict_GetItemString(ours, "__builtins__")) < 0 ||
             PyDict_SetItemString(modules, "__main__", main) < 0;
    PyDict_Clear(ours);
    Py_XDECREF(annotations);
    Py_XDECREF(loader);
    Py_XDECREF(importlib);
    Py_XDECREF(main);
    return failed ? -1 : 0;
}

#if PY_VERSION_HEX >= 0x030D0000
#define MOST_C_RECURSION Py_C_RECURSION_LIMIT
#elif PY_VERSION_HEX >= 0x030C0000
#define MOST_C_RECURSION C_RECURSION_LIMIT
#endif

/* ... and none of them counts as its recursion. To be called when nothing is hidden (hidden.c). */
static void forget_recursion(void)
{
    PyThreadState *tstate = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x030C0000
    tstate->py_recursion_remaining = tstate->py_recursion_limit;
    tstate->c_recursion_remaining = MOST_C_RECURSION;
#else
    tstate->recursion_remaining = tstate->recursion_limit;
#endif
}

/* As pymain_run_module: `name` is a module's, `alter` says whether sys.argv[0] becomes its path. */
static PyObject *run_module(PyObject *name, PyObject *alter)
{
    PyObject *runpy = PyImport_ImportModule("runpy");
    PyObject *main = runpy ? PyObject_GetAttrString(runpy, "_run_module_as_main") : NULL;
    PyObject *result = main ? PyObject_CallFunctionObjArgs(main, name, alter, NULL) : NULL;
    Py_XDECREF(main);
    Py_XDECREF(runpy);
    return result;
}

static PyObject *run_plan(PyObject *prepare)
{
    core_hide();
    PyObject *plan = PyObject_CallNoArgs(prepare);
    core_show();
    if (!plan) {
        PyObject *error = error_take(); /* a syntax error of the program: it has no frames */
        PyException_SetTraceback(error, Py_None);
        error_put_back(error);
        return NULL;
    }
    PyObject *what, *with, *result = NULL;
    if (PyArg_ParseTuple(plan, "OO", &what, &with))
        result = PyCode_Check(what) ? PyEval_EvalCode(what, with, with) : run_module(what, with);
    Py_DECREF(plan);
    return result;
}

/* As Py_RunMain ends: prints what was not caught, finalizes, exits. Never returns. */
static void finish(int failed)
{
    int interrupted = failed && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
    if (failed) {
        if (core_mode == MODE_REPLAY && !PyErr_ExceptionMatches(PyExc_SystemExit)) {
            PyObject *error = error_take();
            control_uncaught(error);
            error_put_back(error);
        }
        PyErr_Print(); /* exits by itself for SystemExit */
    }
    if (!interrupted || core_mode == MODE_REPLAY)
        Py_Exit(failed);
    Py_FinalizeEx();
    signal(SIGINT, SIG_DFL);
    kill(getpid(), SIGINT);
    _exit(130);
}

static PyObject *run(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *prepare;
    int site;
    if (!PyArg_ParseTuple(args, "Op", &prepare, &site))
        return NULL;
    detach_frames();
    core_show();
    forget_recursion();
    PyObject *module = renew_main() < 0 ? NULL : site ? PyImport_ImportModule("site") : Py_NewRef(Py_None);
    if (!module) {
        PyErr_Print();
        Py_Exit(1);
    }
    Py_DECREF(module);
    PyObject *result = run_plan(prepare);
    Py_XDECREF(result);
    finish(!result);
    Py_UNREACHABLE();
}

/* --- what only C can change -------------------------------------------------------------------------- */

static PyObject *set_item(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *sequence, *value;
    Py_ssize_t index;
    if (!PyArg_ParseTuple(args, "O!nO", &PyTuple_Type, &sequence, &index, &value))
        return NULL;
    if (index < 0 || index >= PyTuple_GET_SIZE(sequence)) {
        PyErr_SetString(PyExc_IndexError, "no such field");
        return NULL;
    }
    PyObject *was = PyTuple_GET_ITEM(sequence, index);
    PyTuple_SET_ITEM(sequence, index, Py_NewRef(value));
    Py_DECREF(was);
    Py_RETURN_NONE;
}

static PyObject *set_member(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object, *descriptor, *value;
    if (!PyArg_ParseTuple(args, "OO!O", &object, &PyMemberDescr_Type, &descriptor, &value))
        return NULL;
    if (!PyObject_TypeCheck(object, PyDescr_TYPE(descriptor))) {
        PyErr_SetString(PyExc_TypeError, "the member belongs to another type");
        return NULL;
    }
    PyMemberDef member = *((PyMemberDescrObject *)descriptor)->d_member;
    member.flags = 0;
    if (PyMember_SetOne((char *)object, &member, value) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* A member that is a C string, which the object's dealloc frees. */
static PyObject *set_text(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object, *descriptor;
    const char *text;
    if (!PyArg_ParseTuple(args, "OO!s", &object, &PyMemberDescr_Type, &descriptor, &text))
        return NULL;
    const PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
    char **place = (char **)((char *)object + member->offset);
    if (!PyObject_TypeCheck(object, PyDescr_TYPE(descriptor)) || member->type != T_STRING || *place) {
        PyErr_SetString(PyExc_TypeError, "not an empty member for text");
        return NULL;
    }
    size_t size = strlen(text) + 1;
    *place = PyMem_Malloc(size);
    if (!*place)
        return PyErr_NoMemory();
    memcpy(*place, text, size);
    Py_RETURN_NONE;
}

static PyObject *member_offset(PyObject *Py_UNUSED(module), PyObject *descriptor)
{
    if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type))
        return PyErr_Format(PyExc_TypeError, "not a member");
    return PyLong_FromSsize_t(((PyMemberDescrObject *)descriptor)->d_member->offset);
}

static PyObject *poke_int(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object;
    Py_ssize_t offset;
    int value;
    if (!PyArg_ParseTuple(args, "Oni", &object, &offset, &value))
        return NULL;
    if (offset < (Py_ssize_t)sizeof(PyObject) || offset + (Py_ssize_t)sizeof value > Py_TYPE(object)->tp_basicsize) {
        PyErr_SetString(PyExc_IndexError, "outside the object");
        return NULL;
    }
    memcpy((char *)object + offset, &value, sizeof value);
    Py_RETURN_NONE;
}

static PyObject *allocate(PyObject *Py_UNUSED(module), PyObject *type)
{
    if (!PyType_Check(type))
        return PyErr_Format(PyExc_TypeError, "not a type");
    return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
}

static PyObject *know(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *type, *name, *encode = NULL, *decode = NULL;
    if (!PyArg_ParseTuple(args, "O!U|OO", &PyType_Type, &type, &name, &encode, &decode) ||
        handle_know((PyTypeObject *)type, name, encode, decode) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *set_pickling(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *dumps, *loads;
    if (!PyArg_ParseTuple(args, "OO", &dumps, &loads))
        return NULL;
    encode_set_pickler(dumps);
    decode_set_unpickler(loads);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"record_open", record_open, METH_O, "record_open(fd): record into the ring behind fd; hidden until run()."},
    {"tracer_exchanged", tracer_exchanged, METH_NOARGS,
     "tracer_exchanged(): the program may have set another trace function for this thread."},
    {"descriptor_duplicated", descriptor_duplicated, METH_NOARGS,
     "descriptor_duplicated(): the program's output may be reached by other descriptors than 1 and 2 from now on."},
    {"replay_open", replay_open, METH_O, "replay_open(fd): replay the flat stream behind fd; hidden until run()."},
    {"replaying", replaying, METH_NOARGS, "replaying() -> bool: is this a replay process?"},
    {"start", start, METH_O, "start(configuration) -> dict: writes the START record, or in replay returns it."},
    {"own_source", own_source, METH_O,
     "own_source((path, content[, error])) -> tuple: a SOURCE record of the program's own file, which did not compile\n"
     "where there is an error; or in replay what it holds."},
    {"blake2b", blake2b, METH_O, "blake2b(content) -> bytes: its BLAKE2b digest of 16 bytes."},
    {"note", note, METH_O, "note(text): a NOTE record."},
    {"run", run, METH_VARARGS,
     "run(prepare, site): imports site if asked, calls prepare() hidden for (code, globals) or (callable, args),\n"
     "runs that as the program and exits the process as plain Python would. Never returns."},
    {"set_item", set_item, METH_VARARGS, "set_item(structseq, index, value): changes a field in place."},
    {"set_member", set_member, METH_VARARGS, "set_member(object, member_descriptor, value): also where it is read-only."},
    {"set_text", set_text, METH_VARARGS, "set_text(object, member_descriptor, text): of a C string that is NULL."},
    {"member_offset", member_offset, METH_O, "member_offset(member_descriptor) -> int, in bytes."},
    {"poke_int", poke_int, METH_VARARGS, "poke_int(object, offset, value): writes a C int into the object."},
    {"allocate", allocate, METH_O, "allocate(type): an object of a C type with all fields zero."},
    {"know", know, METH_VARARGS, "know(type, name, encode=None, decode=None): see handle.h."},
    {"set_pickling", set_pickling, METH_VARARGS, "set_pickling(dumps, loads): for values without a native form."},
    {0},
};

int startup_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
