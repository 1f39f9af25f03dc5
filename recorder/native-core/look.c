#define _GNU_SOURCE
#include "look.h"

#include "control.h"
#include "core.h"
#include "errors.h"
#include "frames.h"
#include "visible.h"

#include <frameobject.h>

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static PyObject *inspector, *core_module;

/* A runaway evaluation ends after so much processor time (waiting for the next question costs none), and may take
 * so much memory on top of what is there. */
static double most_seconds = 10.0;
static uint64_t most_bytes = (uint64_t)1 << 30;

void look_set_inspector(PyObject *callable, PyObject *module)
{
    Py_XSETREF(inspector, Py_XNewRef(callable));
    Py_XSETREF(core_module, Py_XNewRef(module));
}

/* Bytes of address space in use, 0 when the kernel does not tell. */
static uint64_t address_space(void)
{
    char text[64] = {0};
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void limit_memory(void)
{
    uint64_t used = address_space();
    struct rlimit limit;
    if (used == 0 || getrlimit(RLIMIT_AS, &limit) < 0)
        return;
    rlim_t most = used + most_bytes;
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > most) {
        limit.rlim_cur = limit.rlim_max = most;
        setrlimit(RLIMIT_AS, &limit);
    }
}

/* The timer's signal kills: the evaluation may be inside C code that never returns. */
static void limit_time(void)
{
    struct itimerval timer = {
        .it_value = {.tv_sec = (time_t)most_seconds,
                     .tv_usec = (suseconds_t)((most_seconds - (double)(time_t)most_seconds) * 1e6)},
    };
    sigset_t timer_only;
    sigemptyset(&timer_only);
    sigaddset(&timer_only, SIGPROF);
    signal(SIGPROF, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &timer_only, NULL);
    setitimer(ITIMER_PROF, &timer, NULL);
}

void look_limit(void)
{
    limit_memory();
    limit_time();
}

void look_and_exit(int stream, bool with_frame)
{
    if (!inspector || (!with_frame && !Py_IsInitialized()))
        _exit(1);  /* the stream closes without an answer: there is no interpreter any more */
    core_looking = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);  /* it may wait for ever in C code, where no controller's end is noticed */
    ticks_hide();
    look_limit();
    if (!frames_gil_held())
        PyGILState_Ensure();
    core_hide();  /* the inspector's own reads and writes are real; what the user evaluates is shown by it */
    PyErr_Clear();
    frames_give_room();
    PyObject *frame = with_frame ? frames_object() : NULL;
    PyObject *result = PyObject_CallFunction(inspector, "iOO", stream, core_module, frame ? frame : Py_None);
    if (!result && getenv("SCOPE_DEBUG"))
        PyErr_Print();
    _exit(result ? 0 : 1);
}

void look_in_place(int stream)
{
    core_looking = 1;
    ticks_hide();
    core_hide();
    PyObject *error = PyErr_Occurred() ? error_take() : NULL, *frame = frames_object();
    PyObject *result = inspector ? PyObject_CallFunction(inspector, "iOO", stream, core_module, frame ? frame : Py_None)
                                 : NULL;
    PyErr_Clear(); /* the other end sees it close */
    Py_XDECREF(result);
    Py_XDECREF(frame);
    if (error)
        error_put_back(error);
    core_show();
    ticks_show();
    core_looking = 0;
    close(stream);
}

/* Up to 3.12 what frame.f_locals gives is a copy; later what is put in there is there. */
static PyObject *write_locals(PyObject *Py_UNUSED(module), PyObject *frame)
{
    if (!PyFrame_Check(frame))
        return PyErr_Format(PyExc_TypeError, "a frame is wanted");
#if PY_VERSION_HEX < 0x030D0000
    PyFrame_LocalsToFast((PyFrameObject *)frame, 0);
#endif
    Py_RETURN_NONE;
}

static PyObject *set_look_limits(PyObject *Py_UNUSED(module), PyObject *args)
{
    double seconds;
    unsigned long long bytes;
    if (!PyArg_ParseTuple(args, "dK", &seconds, &bytes))
        return NULL;
    if (!(seconds > 0.001 && seconds < 1e9))
        return PyErr_Format(PyExc_ValueError, "seconds must be more than 0");
    most_seconds = seconds;
    most_bytes = bytes;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_look_limits", set_look_limits, METH_VARARGS,
     "set_look_limits(seconds, bytes): processor time and memory one look may take; at first 10 s and 1 GiB."},
    {"write_locals", write_locals, METH_O,
     "write_locals(frame): makes what was put into frame.f_locals the frame's own variables."},
    {0},
};

bool look_only_compares(PyObject *name)
{
    static const char *const comparing[] = {"/dataclasses.py", "/reprlib.py", "/pprint.py", "/copy.py"};
    PyFrameObject *frame = PyEval_GetFrame();
    if (!frame || (PyUnicode_CompareWithASCIIString(name, "builtins.id") != 0 &&
                   PyUnicode_CompareWithASCIIString(name, "_thread.get_ident") != 0))
        return false;
    PyCodeObject *code = PyFrame_GetCode(frame);
    const char *file = PyUnicode_AsUTF8(code->co_filename), *last = file ? strrchr(file, '/') : NULL;
    bool compares = false;
    if (!file)
        PyErr_Clear();
    for (size_t i = 0; last && i < sizeof comparing / sizeof *comparing; i++)
        compares |= strcmp(last, comparing[i]) == 0 && !code_is_visible(code);
    Py_DECREF(code);
    return compares;
}

int look_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
