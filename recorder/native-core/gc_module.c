#include "gc_module.h"
#include "encode.h"

#include <stdbool.h>
#include <string.h>

enum redirected {
    COLLECT, DISABLE, FREEZE, GET_OBJECTS, GET_REFERRERS, GET_THRESHOLD, SET_DEBUG, SET_THRESHOLD, REDIRECTED,
};

static const char *const names[REDIRECTED] = {
    [COLLECT] = "collect", [DISABLE] = "disable", [FREEZE] = "freeze", [GET_OBJECTS] = "get_objects",
    [GET_REFERRERS] = "get_referrers", [GET_THRESHOLD] = "get_threshold", [SET_DEBUG] = "set_debug",
    [SET_THRESHOLD] = "set_threshold",
};

static PyObject *originals[REDIRECTED]; /* builtin functions of their own with what was there before */

static PyObject *call(enum redirected which, PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    return PyObject_Vectorcall(originals[which], args, (size_t)n, keywords);
}

static PyObject *settled(enum redirected which, PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    collector_settle(0);
    return call(which, args, n, keywords);
}

static PyObject *on_thresholds(enum redirected which, PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    collector_show_thresholds();
    PyObject *result = call(which, args, n, keywords);
    collector_take_thresholds();
    return result;
}

static PyObject *collect(PyObject *Py_UNUSED(gc), PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    if (n > 0 || keywords)
        collector_settle(1);
    collector_explicit(1);
    PyObject *result = call(COLLECT, args, n, keywords);
    collector_explicit(-1);
    return result;
}

static PyObject *disable(PyObject *Py_UNUSED(gc), PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    return settled(DISABLE, args, n, keywords);
}

static PyObject *freeze(PyObject *Py_UNUSED(gc), PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    return settled(FREEZE, args, n, keywords);
}

/* Replay traces on 3.11, which makes frame objects that the recording had not. */
static void note_objects(void)
{
    static const char text[] = "the program lists all objects (gc.get_objects): in a replay on CPython 3.11 there are frames more, "
                               "and so perhaps another number";
    static bool told;
    if (PY_VERSION_HEX >= 0x030C0000 || told || core_mode != MODE_RECORD || core_hidden)
        return;
    told = true;
    record_writer w;
    uint32_t size = sizeof text - 1;
    record_begin(&w, 0, KIND_NOTE, 0, 0);
    write_bytes(&w, "s", 1);
    write_bytes(&w, &size, 4);
    write_bytes(&w, text, size);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* fixed form: it cannot fail to encode */
}

#if PY_VERSION_HEX < 0x030C0000

/* The names of a C function's keywords, which CPython 3.11 makes a tuple of at the first call that needs them. It keeps
 * that for ever, and the first collection untracks it. `references`: those that we know of. */
static bool is_keyword_names(PyObject *object, Py_ssize_t references)
{
    if (!PyTuple_CheckExact(object) || Py_REFCNT(object) != references)
        return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); i++)
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(object, i)) || !PyUnicode_CHECK_INTERNED(PyTuple_GET_ITEM(object, i)))
            return false;
    return true;
}

/* Recording and replay call other C functions, the one for the recorder and the other in the place of calls that cross the
 * boundary: so neither shows which were called since the last collection. */
static int drop_keyword_names(PyObject *objects)
{
    Py_ssize_t kept = 0, size = PyList_GET_SIZE(objects);
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *each = PyList_GET_ITEM(objects, i);
        if (is_keyword_names(each, 2))
            continue;
        PyList_SET_ITEM(objects, i, PyList_GET_ITEM(objects, kept));
        PyList_SET_ITEM(objects, kept++, each);
    }
    return PyList_SetSlice(objects, kept, size, NULL);
}

#else

static int drop_keyword_names(PyObject *Py_UNUSED(objects))
{
    return 0;
}

#endif

static PyObject *get_objects(PyObject *Py_UNUSED(gc), PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    note_objects();
    PyObject *objects = settled(GET_OBJECTS, args, n, keywords);
    if (objects && core_mode != MODE_OFF && drop_keyword_names(objects) < 0)
        Py_CLEAR(objects);
    return objects;
}

static PyObject *get_referrers(PyObject *Py_UNUSED(gc), PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    return settled(GET_REFERRERS, args, n, keywords);
}

static PyObject *set_debug(PyObject *Py_UNUSED(gc), PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    return settled(SET_DEBUG, args, n, keywords);
}

static PyObject *get_threshold(PyObject *Py_UNUSED(gc), PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    return on_thresholds(GET_THRESHOLD, args, n, keywords);
}

static PyObject *set_threshold(PyObject *Py_UNUSED(gc), PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    return on_thresholds(SET_THRESHOLD, args, n, keywords);
}

typedef PyObject *(*function)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

static const function replacements[REDIRECTED] = {
    [COLLECT] = collect, [DISABLE] = disable, [FREEZE] = freeze, [GET_OBJECTS] = get_objects,
    [GET_REFERRERS] = get_referrers, [GET_THRESHOLD] = get_threshold, [SET_DEBUG] = set_debug,
    [SET_THRESHOLD] = set_threshold,
};

/* `builtin` gets a definition of our own; a twin keeps the one it had. */
static int redirect(PyCFunctionObject *builtin, enum redirected which)
{
    static PyMethodDef definitions[REDIRECTED];
    PyMethodDef *ours = &definitions[which];
    *ours = *builtin->m_ml;
    ours->ml_meth = (PyCFunction)(void (*)(void))replacements[which];
    ours->ml_flags = METH_FASTCALL | METH_KEYWORDS;
    PyObject *twin = PyCFunction_NewEx(builtin->m_ml, builtin->m_self, builtin->m_module);
    PyObject *sample = twin ? PyCFunction_NewEx(ours, builtin->m_self, builtin->m_module) : NULL;
    if (!sample) {
        Py_XDECREF(twin);
        return -1;
    }
    Py_XSETREF(originals[which], twin);
    builtin->m_ml = ours;
    builtin->vectorcall = ((PyCFunctionObject *)sample)->vectorcall;
    Py_DECREF(sample);
    return 0;
}

int gc_module_redirect(PyObject *gc)
{
    for (int i = 0; i < REDIRECTED; i++) {
        PyObject *found = PyObject_GetAttrString(gc, names[i]);
        int failed = found && PyCFunction_CheckExact(found) ? redirect((PyCFunctionObject *)found, i) : -1;
        Py_XDECREF(found);
        if (failed) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_RuntimeError, "gc.%s is not a builtin function", names[i]);
            return -1;
        }
    }
    return 0;
}
