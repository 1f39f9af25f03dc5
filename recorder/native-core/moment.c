#include "moment.h"
#include "frames.h"

#include <string.h>

#define FRAMES 400        /* of the stack that are looked at */
#define OBJECTS_HERE 40   /* followed from the innermost frame */
#define OBJECTS_WHOLE 4000
#define SLOTS 16384       /* of the table of objects that were met */

/* One look: a hash of what was met, in order, and what is still to be followed. Static: a look must leave the memory
 * of the process as it was. */
static struct {
    uint64_t hash;
    bool certain;
    Py_ssize_t most, known, done;
    PyObject *objects[OBJECTS_WHOLE];
    struct {
        PyObject *object;
        uint32_t look; /* which look this entry is of */
        uint32_t number;
    } met[SLOTS];
    uint32_t look;
} now;

static void mix(uint64_t value)
{
    now.hash = (now.hash ^ value) * 0x9E3779B97F4A7C15u;
    now.hash ^= now.hash >> 29;
}

static void mix_name(PyTypeObject *type)
{
    const char *name = type->tp_name;
    uint64_t h = 14695981039346656037u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    mix(h);
}

/* The number under which an object was met, from 1; 0: it is new, and is to be followed. */
static uint32_t meet(PyObject *object)
{
    size_t slot = ((uintptr_t)object >> 4) * 0x9E3779B97F4A7C15u >> 50;
    while (now.met[slot].look == now.look && now.met[slot].object != object)
        slot = (slot + 1) % SLOTS;
    if (now.met[slot].look == now.look)
        return now.met[slot].number;
    if (now.known == now.most) {
        now.certain = false;
        return UINT32_MAX;
    }
    now.met[slot].object = object;
    now.met[slot].look = now.look;
    now.objects[now.known] = object;
    now.met[slot].number = (uint32_t)++now.known;
    return 0;
}

/* By its bits: the hash of a NaN is its address. */
static void mix_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    mix(bits + 13);
}

/* Values that are what they say, and things that are known by their type alone. */
static bool mix_plain(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (object == Py_None || object == Py_True || object == Py_False || object == Py_Ellipsis)
        mix(object == Py_None ? 1 : object == Py_True ? 2 : object == Py_False ? 3 : 4);
    else if (type == &PyFloat_Type)
        mix_double(PyFloat_AS_DOUBLE(object));
    else if (type == &PyLong_Type || type == &PyUnicode_Type || type == &PyBytes_Type ||
             type == &PyComplex_Type)
        mix((uint64_t)PyObject_Hash(object) + (type == &PyLong_Type ? 11 : 13));
    else if (type == &PyByteArray_Type)
        for (Py_ssize_t i = 0; i < PyByteArray_GET_SIZE(object); i++)
            mix((unsigned char)PyByteArray_AS_STRING(object)[i]);
    else if (PyType_Check(object) || PyModule_Check(object) || PyCode_Check(object) || PyCFunction_Check(object))
        mix_name(type);
    else
        return false;
    return true;
}

static int visit(PyObject *object, void *Py_UNUSED(none))
{
    if (!object || mix_plain(object))
        return 0;
    uint32_t number = meet(object);
    mix(number);
    if (!number) {
        mix_name(Py_TYPE(object));
        mix((uint64_t)(PyTuple_Check(object) || PyList_Check(object) ? Py_SIZE(object) : 0));
    }
    return number == UINT32_MAX;
}

/* How far an iterator of C code has come, which nothing that it refers to says. */
static void mix_progress(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type->tp_flags & Py_TPFLAGS_HEAPTYPE || !type->tp_iternext)
        return;
    Py_ssize_t left = PyObject_LengthHint(object, -1);
    PyErr_Clear();
    mix((uint64_t)left);
    if (left < 0)
        now.certain = false;
}

static void follow_dict(PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    mix((uint64_t)PyDict_GET_SIZE(dict));
    while (PyDict_Next(dict, &at, &key, &value))
        if (visit(key, NULL) || visit(value, NULL))
            return;
}

static void follow_frame(const frame *f, const frame *callee, bool with_stack)
{
    Py_ssize_t n;
    PyObject *const *variables = frames_variables(f, with_stack, &n);
    mix(frames_place(f, callee));
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!variables[i])
            mix(5);
        else if (visit(variables[i], NULL))
            return;
    }
}

static void follow(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    const frame *suspended = PyGen_Check(object) || PyCoro_CheckExact(object) ? frames_of_generator(object) : NULL;
    if (PyFunction_Check(object)) {
        visit(((PyFunctionObject *)object)->func_qualname, NULL);
        visit(((PyFunctionObject *)object)->func_closure, NULL);
        visit(((PyFunctionObject *)object)->func_defaults, NULL);
    } else if (PyDict_CheckExact(object)) {
        follow_dict(object);
    } else if (suspended) {
        follow_frame(suspended, NULL, true);
    } else {
        mix_progress(object);
        if (PyObject_IS_GC(object) && type->tp_traverse)
            type->tp_traverse(object, visit, NULL);
        else if (!type->tp_iternext)
            now.certain = false; /* C code keeps its state to itself */
    }
}

static void begin_look(Py_ssize_t most)
{
    if (++now.look == 0) {
        memset(now.met, 0, sizeof now.met);
        now.look = 1;
    }
    now.hash = 0;
    now.certain = true;
    now.most = most;
    now.known = now.done = 0;
}

static uint64_t end_look(void)
{
    while (now.done < now.known)
        follow(now.objects[now.done++]);
    return now.hash;
}

static uint64_t look_here(void)
{
    const frame *f = frames_current();
    begin_look(OBJECTS_HERE);
    if (f)
        follow_frame(f, NULL, true);
    return end_look();
}

/* What the callers have on their stacks of values is not always known: of them only the variables count. */
static uint64_t look_whole(void)
{
    const frame *f = frames_current(), *callee = NULL;
    begin_look(OBJECTS_WHOLE);
    for (int i = 0; f && i < FRAMES; i++, callee = f, f = frames_caller(f)) {
        follow_frame(f, callee, i == 0);
        visit(frames_globals(f), NULL);
    }
    if (f)
        now.certain = false;
    return end_look();
}

moment moment_now(bool *certain)
{
    moment m = {look_here(), look_whole()};
    if (certain)
        *certain = now.certain;
    return m;
}

bool moment_is(const moment *sought)
{
    return look_here() == sought->here && look_whole() == sought->whole;
}
