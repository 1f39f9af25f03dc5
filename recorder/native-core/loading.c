/* What a C library finds in the environment while it is loaded: that it may use one thread.
 *
 * OpenBLAS, OpenMP and the like make their threads when they are loaded, as many as the environment says. A replay
 * process has one operating system thread, and a sum of floats computed by another number of threads is another sum:
 * so they get one in the recording as well, unless the program's own environment asks for more. The program cannot see
 * it: the variables are there for the C library's getenv, and only while something is loaded. */
#include "core.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *name;
    const char *limit;
    bool only_missing; /* only in replay, where it is wanted and the program's environment has none */
    char *own;         /* what the program's environment has, while it is replaced; NULL: nothing */
} limits[] = {
    {"OPENBLAS_NUM_THREADS", "1", false, NULL}, {"OMP_NUM_THREADS", "1", false, NULL},
    {"MKL_NUM_THREADS", "1", false, NULL}, {"BLIS_NUM_THREADS", "1", false, NULL}, {"GOTO_NUM_THREADS", "1", false, NULL},
    {"ARROW_DEFAULT_MEMORY_POOL", "system", false, NULL}, /* its own allocators tell threads by their registers */
    {"HOME", "/nonexistent", true, NULL}, /* libreadline looks for its settings; it would ask the system through a socket */
};

#define LIMITS (sizeof limits / sizeof *limits)

static unsigned depth; /* one extension may load another */
static bool home_wanted;

static bool is_set(size_t i, const char *own)
{
    bool replaying = core_mode == MODE_REPLAY;
    return limits[i].only_missing ? !own && replaying && home_wanted : !own || replaying;
}

static int limit_threads(void)
{
    for (size_t i = 0; i < LIMITS; i++) {
        const char *own = getenv(limits[i].name);
        limits[i].own = own ? strdup(own) : NULL;
        if ((own && !limits[i].own) || (is_set(i, own) && setenv(limits[i].name, limits[i].limit, 1) < 0))
            return -1;
    }
    return 0;
}

static int free_threads(void)
{
    int failed = 0;
    for (size_t i = 0; i < LIMITS; i++) {
        failed |= limits[i].own ? setenv(limits[i].name, limits[i].own, 1) : unsetenv(limits[i].name);
        free(limits[i].own);
        limits[i].own = NULL;
    }
    return failed;
}

/* "NAME=value, …" of what the program asked for and replay cannot give; empty: nothing. */
static PyObject *asked_text(void)
{
    PyObject *text = PyUnicode_FromString("");
    for (size_t i = 0; text && i < LIMITS; i++) {
        const char *own = getenv(limits[i].name);
        if (own && !limits[i].only_missing && strcmp(own, limits[i].limit) != 0)
            PyUnicode_AppendAndDel(&text, PyUnicode_FromFormat("%s%s=%s", PyUnicode_GET_LENGTH(text) ? ", " : "",
                                                               limits[i].name, own));
    }
    return text;
}

static PyObject *loading_begins(PyObject *Py_UNUSED(module), PyObject *args)
{
    int home = 0;
    if (!PyArg_ParseTuple(args, "|p", &home))
        return NULL;
    home_wanted = home;
    PyObject *asked = asked_text();
    if (asked && depth++ == 0 && limit_threads() < 0) {
        depth = 0;
        Py_CLEAR(asked);
        PyErr_NoMemory();
    }
    return asked;
}

static PyObject *loading_ends(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(arguments))
{
    if (depth && --depth == 0 && free_threads() != 0)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"loading_begins", loading_begins, METH_VARARGS,
     "loading_begins(home=False) -> str: until loading_ends(), C libraries find that they may use one thread; calls nest.\n"
     "The settings of the program's own that allow more, which count while recording. home: in replay they find some $HOME."},
    {"loading_ends", loading_ends, METH_NOARGS, "loading_ends(): see loading_begins()."},
    {0},
};

int loading_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
