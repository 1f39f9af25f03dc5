#include "visible.h"

#include "message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PREFIXES 64
#define PREFIX_BYTES 16384
#define PATH_BYTES 4096

static struct {
    const char *bytes;
    size_t size;
} prefixes[PREFIXES];

static size_t prefix_count;
static char prefix_bytes[PREFIX_BYTES];

/* The code that is the user's own though its file has a name in angle brackets, that of -c: the program and all code
 * inside it, sorted. The program is kept, and it keeps the others. */
#define SHOWN_CODES 8192
static PyCodeObject *shown_program;
static PyCodeObject *shown_codes[SHOWN_CODES];
static size_t shown_count;

static int by_address(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t)*(PyCodeObject *const *)a, right = (uintptr_t)*(PyCodeObject *const *)b;
    return left < right ? -1 : left > right;
}

static void show_with_inner(PyCodeObject *code)
{
    if (shown_count == SHOWN_CODES)
        return;
    shown_codes[shown_count++] = code;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_consts); i++) {
        PyObject *inner = PyTuple_GET_ITEM(code->co_consts, i);
        if (PyCode_Check(inner))
            show_with_inner((PyCodeObject *)inner);
    }
}

static bool is_shown(PyCodeObject *code)
{
    return shown_count && bsearch(&code, shown_codes, shown_count, sizeof code, by_address);
}

static bool under_prefix(const char *path, size_t size)
{
    for (size_t i = 0; i < prefix_count; i++) {
        size_t n = prefixes[i].size;
        if (size > n && memcmp(path, prefixes[i].bytes, n) == 0 && path[n] == '/')
            return true;
    }
    return false;
}

static bool decide(const char *path, size_t size)
{
    if (path[0] == '<')
        return false;  /* <frozen …>, <string>, <attrs generated …>: text that a library made */
    if (strstr(path, "/site-packages/") || strstr(path, "/dist-packages/"))
        return false;
    return !under_prefix(path, size);
}

/* Answers by filename object. Its bytes are kept and compared, because the object may die and another take its
 * address; keeping it alive instead would change the program's memory. */
#define CACHE_SLOTS 1024
#define CACHE_BYTES (1 << 19)

static struct {
    PyObject *name;
    uint32_t at, size;
    bool visible;
} cache[CACHE_SLOTS];

static char cache_bytes[CACHE_BYTES];
static uint32_t cache_used;

static void forget_all(void)
{
    memset(cache, 0, sizeof cache);
    cache_used = 0;
}

bool code_is_visible(PyCodeObject *code)
{
    PyObject *name = code->co_filename;
    size_t slot = (size_t)((uintptr_t)name >> 4) * 0x9E3779B97F4A7C15u >> 54;
    if (cache[slot].name == name && message_str_is(name, cache_bytes + cache[slot].at, cache[slot].size))
        return cache[slot].visible || is_shown(code);
    char path[PATH_BYTES];
    message text = message_in(path, sizeof path);
    message_add_str(&text, name);
    bool visible = decide(path, text.size);
    if (text.cut)
        return visible || is_shown(code);
    if (text.size > CACHE_BYTES - cache_used)
        forget_all();
    memcpy(cache_bytes + cache_used, path, text.size);
    cache[slot].name = name;
    cache[slot].at = cache_used;
    cache[slot].size = (uint32_t)text.size;
    cache[slot].visible = visible;
    cache_used += (uint32_t)text.size;
    return visible || is_shown(code);
}

/* --- for Python ------------------------------------------------------------------------------------------ */

static PyObject *set_library_prefixes(PyObject *Py_UNUSED(module), PyObject *arg)
{
    if (!PyTuple_Check(arg) || PyTuple_GET_SIZE(arg) > PREFIXES)
        return PyErr_Format(PyExc_ValueError, "a tuple of at most %d folders is needed", PREFIXES);
    forget_all();
    prefix_count = 0;
    size_t used = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arg); i++) {
        if (!PyUnicode_Check(PyTuple_GET_ITEM(arg, i)))
            return PyErr_Format(PyExc_TypeError, "folders are str");
        message text = message_in(prefix_bytes + used, PREFIX_BYTES - used);
        message_add_str(&text, PyTuple_GET_ITEM(arg, i));
        size_t size = text.size;
        while (size > 0 && text.bytes[size - 1] == '/')
            size--;
        if (text.cut || used + text.size + 128 > PREFIX_BYTES)
            return PyErr_Format(PyExc_ValueError, "the folders are longer than %d bytes in all", PREFIX_BYTES);
        if (size == 0)
            continue;  /* "/" or "" would hide everything */
        prefixes[prefix_count].bytes = text.bytes;
        prefixes[prefix_count++].size = size;
        used += text.size + 1;
    }
    Py_RETURN_NONE;
}

static PyObject *show_code(PyObject *Py_UNUSED(module), PyObject *code)
{
    if (!PyCode_Check(code))
        return PyErr_Format(PyExc_TypeError, "not a code object");
    Py_XSETREF(shown_program, (PyCodeObject *)Py_NewRef(code));
    shown_count = 0;
    show_with_inner(shown_program);
    qsort(shown_codes, shown_count, sizeof *shown_codes, by_address);
    Py_RETURN_NONE;
}

static PyObject *is_visible(PyObject *Py_UNUSED(module), PyObject *code)
{
    if (!PyCode_Check(code))
        return PyErr_Format(PyExc_TypeError, "not a code object");
    return PyBool_FromLong(code_is_visible((PyCodeObject *)code));
}

static PyMethodDef functions[] = {
    {"set_library_prefixes", set_library_prefixes, METH_O,
     "set_library_prefixes(folders): code of files below these is not the user's own."},
    {"show_code", show_code, METH_O, "show_code(code): it and the code inside it is the user's own, whatever its file is called."},
    {"is_visible", is_visible, METH_O, "is_visible(code) -> bool: whether it is the user's own code."},
    {0},
};

int visible_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
