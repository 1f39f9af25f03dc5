#include "deaths.h"

#include <string.h>

#define FRAME_IS_GONE 4 /* FRAME_CLEARED of pycore_frame.h, the same in 3.11 to 3.13 */

/* C types that only free memory and give up references when they go. */
static PyTypeObject *const containers[] = {
    &PyBaseObject_Type, &PyList_Type, &PyDict_Type, &PyTuple_Type, &PySet_Type, &PyFrozenSet_Type, &PyFunction_Type,
    &PyCell_Type, &PyMethod_Type, &PyInstanceMethod_Type, &PyCFunction_Type, &PyCMethod_Type, &PyTraceBack_Type,
    &PyFrame_Type, &PyProperty_Type, &PyClassMethod_Type, &PyStaticMethod_Type, &PyDictProxy_Type, &PySlice_Type,
    &PyEnum_Type, &PyMap_Type, &PyFilter_Type, &PyZip_Type, &PyReversed_Type, &PyListIter_Type, &PyListRevIter_Type,
    &PyTupleIter_Type, &PyDictIterKey_Type, &PyDictIterValue_Type, &PyDictIterItem_Type, &PyDictRevIterKey_Type,
    &PyDictRevIterValue_Type, &PyDictRevIterItem_Type, &PyDictKeys_Type, &PyDictValues_Type, &PyDictItems_Type,
    &PySetIter_Type, &PySeqIter_Type, &PyCallIter_Type, &PyODict_Type, &PyODictIter_Type, &PyODictKeys_Type,
    &PyODictValues_Type, &PyODictItems_Type, &PySuper_Type, &Py_GenericAliasType, &PyGen_Type, &PyCoro_Type,
};

static PyTypeObject *const atoms[] = {
    &PyLong_Type, &PyUnicode_Type, &PyBool_Type, &PyFloat_Type, &PyBytes_Type, &PyComplex_Type, &PyByteArray_Type,
    &PyRange_Type, &PyEllipsis_Type,
};

/* The same for types that have no name in C. Their code is CPython's own. */
static const char *const by_name[] = {
    "collections.deque", "collections.defaultdict", "functools.partial", "types.SimpleNamespace", "method-wrapper",
    "datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone",
    "decimal.Decimal", "re.Match", "re.Pattern", "_thread.lock", "_thread.RLock", "itertools.count",
    "itertools.chain", "itertools.cycle", "itertools.islice", "itertools.repeat", "itertools.product",
    "itertools.permutations", "itertools.combinations", "itertools.starmap", "itertools.groupby",
    "operator.itemgetter", "operator.attrgetter", "operator.methodcaller", "str_ascii_iterator", "str_iterator",
    "bytes_iterator", "range_iterator", "longrange_iterator", "array.array", "_random.Random",
};

/* Addresses of `containers` and `atoms`, by hash. */
#define ENTRIES 256
static PyTypeObject *silent[ENTRIES];
static destructor subtype_dealloc; /* where instances of Python classes end */

static inline size_t home(const PyTypeObject *type)
{
    return (((uintptr_t)type >> 4) * 0x9E3779B97F4A7C15ull) >> 56;
}

static PyTypeObject *last_silent; /* many objects of one class come in a row */

void deaths_begin(void)
{
    last_silent = NULL; /* it may be gone, and another type in its place */
}

static bool is_in_table(const PyTypeObject *type)
{
    for (size_t i = home(type); silent[i % ENTRIES]; i++)
        if (silent[i % ENTRIES] == type)
            return true;
    return false;
}

static void enter(PyTypeObject *type)
{
    size_t i = home(type);
    while (silent[i % ENTRIES])
        i++;
    silent[i % ENTRIES] = type;
}

bool death_is_never_seen(PyTypeObject *type)
{
    if (type == &PyUnicode_Type || type == &PyLong_Type)
        return true;
    for (size_t i = 0; i < sizeof atoms / sizeof *atoms; i++)
        if (type == atoms[i])
            return true;
    return type == Py_TYPE(Py_None) || type == Py_TYPE(Py_NotImplemented);
}

static bool type_is_silent(PyTypeObject *type)
{
    if (type == last_silent)
        return true;
    PyTypeObject *asked = type;
    while (type->tp_dealloc == subtype_dealloc && type->tp_base)
        type = type->tp_base;
    if (is_in_table(type)) {
        last_silent = asked;
        return true;
    }
    if (PyType_FastSubclass(type, Py_TPFLAGS_BASE_EXC_SUBCLASS))
        return !(type->tp_flags & Py_TPFLAGS_HEAPTYPE); /* the interpreter's own exceptions */
    for (size_t i = 0; i < sizeof by_name / sizeof *by_name; i++)
        if (strcmp(type->tp_name, by_name[i]) == 0)
            return true;
    return false;
}

/* A generator or coroutine that has run to its end: its finalizer does nothing. */
static bool is_finished(PyObject *object)
{
    return (PyGen_CheckExact(object) || PyCoro_CheckExact(object)) &&
           ((PyGenObject *)object)->gi_frame_state == FRAME_IS_GONE;
}

/* Code is no container; code nested in it dies with it, unless others refer to it too. */
static bool code_is_silent(PyCodeObject *code, int depth)
{
    if (code->co_weakreflist || depth > 20)
        return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_consts); i++) {
        PyObject *constant = PyTuple_GET_ITEM(code->co_consts, i);
        if (PyCode_Check(constant) && !code_is_silent((PyCodeObject *)constant, depth + 1))
            return false;
    }
    return true;
}

bool death_is_silent(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyCode_Type)
        return code_is_silent((PyCodeObject *)object, 0);
    if (type->tp_del || (type->tp_finalize && !is_finished(object)))
        return false;
    if (type->tp_weaklistoffset && *(PyObject **)((char *)object + type->tp_weaklistoffset))
        return false;
    return type_is_silent(type);
}

int deaths_prepare(void)
{
    PyObject *sample = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){}", "Sample");
    if (!sample)
        return -1;
    subtype_dealloc = ((PyTypeObject *)sample)->tp_dealloc;
    Py_DECREF(sample);
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++)
        enter(containers[i]);
    for (size_t i = 0; i < sizeof atoms / sizeof *atoms; i++)
        enter(atoms[i]);
    enter(Py_TYPE(Py_None));
    return 0;
}
