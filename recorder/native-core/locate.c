/* Where in memory a name, an attribute or an item is kept: what a memory watch compares. The second file that knows
 * CPython's private layouts, those of dictionaries and instances, version by version. For lookers only. */
#define Py_BUILD_CORE 1
#include "watch.h"

#include <internal/pycore_code.h>
#include <internal/pycore_dict.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_object.h>
#include <structmember.h>

#include <stdint.h>

/* --- dictionaries and instances ---------------------------------------------------------------------------- */

/* Index of the key in the table, -1 when it has none. Compares by identity first, then by equality. */
static Py_ssize_t key_index(PyDictKeysObject *keys, PyObject *key)
{
    for (Py_ssize_t i = 0; i < keys->dk_nentries; i++) {
        PyObject *other = DK_IS_UNICODE(keys) ? DK_UNICODE_ENTRIES(keys)[i].me_key : DK_ENTRIES(keys)[i].me_key;
        if (!other)
            continue;
        int equal = other == key ? 1 : PyObject_RichCompareBool(other, key, Py_EQ);
        if (equal < 0)
            PyErr_Clear();
        if (equal > 0)
            return i;
    }
    return -1;
}

static PyObject **dict_slot(PyDictObject *dict, PyObject *key)
{
    Py_ssize_t i = key_index(dict->ma_keys, key);
    if (i < 0)
        return NULL;
    if (dict->ma_values)
        return &dict->ma_values->values[i];
    return DK_IS_UNICODE(dict->ma_keys) ? &DK_UNICODE_ENTRIES(dict->ma_keys)[i].me_value
                                        : &DK_ENTRIES(dict->ma_keys)[i].me_value;
}

/* The values of an instance that has no dictionary yet, or NULL; else its dictionary, or NULL. */
static PyDictValues *inline_values(PyObject *object, PyObject **dict)
{
    PyTypeObject *type = Py_TYPE(object);
    *dict = NULL;
    if (!(type->tp_flags & Py_TPFLAGS_MANAGED_DICT)) {
        PyObject **place = _PyObject_GetDictPtr(object);
        *dict = place ? *place : NULL;
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030D0000
    if (type->tp_flags & Py_TPFLAGS_INLINE_VALUES && _PyObject_InlineValues(object)->valid)
        return _PyObject_InlineValues(object);
    *dict = (PyObject *)_PyObject_GetManagedDict(object);
    return NULL;
#elif PY_VERSION_HEX >= 0x030C0000
    PyDictOrValues either = *_PyObject_DictOrValuesPointer(object);
    if (_PyDictOrValues_IsValues(either))
        return _PyDictOrValues_GetValues(either);
    *dict = _PyDictOrValues_GetDict(either);
    return NULL;
#else
    *dict = *_PyObject_ManagedDictPointer(object);
    return *_PyObject_ValuesPointer(object);
#endif
}

static PyObject **attribute_slot(PyObject *object, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(object);
    if (PyType_Check(object)) {
        PyObject *own = ((PyTypeObject *)object)->tp_dict;
        return own ? dict_slot((PyDictObject *)own, name) : NULL;
    }
    PyObject *found = _PyType_Lookup(type, name);
    if (found && Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        if (member->type == T_OBJECT_EX || member->type == T_OBJECT)
            return (PyObject **)((char *)object + member->offset);
    }
    if (found && Py_TYPE(found)->tp_descr_set)
        return NULL;  /* computed: the instance's own storage is not asked */
    PyObject *dict;
    PyDictValues *values = inline_values(object, &dict);
    if (values) {
        Py_ssize_t i = key_index(((PyHeapTypeObject *)type)->ht_cached_keys, name);
        return i < 0 ? NULL : &values->values[i];
    }
    return dict ? dict_slot((PyDictObject *)dict, name) : NULL;
}

/* --- frames ------------------------------------------------------------------------------------------------ */

static PyObject **local_slot(PyFrameObject *frame, PyObject *name)
{
    struct _PyInterpreterFrame *f = frame->f_frame;
#if PY_VERSION_HEX >= 0x030D0000
    PyCodeObject *code = (PyCodeObject *)f->f_executable;
#else
    PyCodeObject *code = f->f_code;
#endif
    for (int i = 0; i < code->co_nlocalsplus; i++) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(code->co_localsplusnames, i), name) != 0)
            continue;
        PyObject **slot = &f->localsplus[i];
        _PyLocals_Kind kind = _PyLocals_GetKind(code->co_localspluskinds, i);
        if (kind & (CO_FAST_CELL | CO_FAST_FREE) && *slot && PyCell_Check(*slot))
            return &((PyCellObject *)*slot)->ob_ref;
        return slot;
    }
    return NULL;
}

/* --- for Python -------------------------------------------------------------------------------------------- */

static PyObject *address_of(PyObject **slot)
{
    return PyLong_FromVoidPtr(slot);
}

static PyObject *watch_local(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *frame, *name;
    if (!PyArg_ParseTuple(args, "O!U", &PyFrame_Type, &frame, &name))
        return NULL;
    return address_of(local_slot((PyFrameObject *)frame, name));
}

static PyObject *watch_attribute(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object, *name;
    if (!PyArg_ParseTuple(args, "OU", &object, &name))
        return NULL;
    return address_of(attribute_slot(object, name));
}

static PyObject *watch_item(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *container, *key;
    if (!PyArg_ParseTuple(args, "OO", &container, &key))
        return NULL;
    if (PyDict_Check(container))
        return address_of(dict_slot((PyDictObject *)container, key));
    if (!PyList_Check(container))
        return address_of(NULL);
    Py_ssize_t i = PyNumber_AsSsize_t(key, PyExc_IndexError), size = PyList_GET_SIZE(container);
    if (i == -1 && PyErr_Occurred())
        return NULL;
    i += i < 0 ? size : 0;
    return address_of(i < 0 || i >= size ? NULL : &((PyListObject *)container)->ob_item[i]);
}

/* Appends (address, size), widened to whole words; nothing for an empty range. */
static int add_range(PyObject *list, const void *start, size_t size)
{
    uintptr_t from = (uintptr_t)start & ~(uintptr_t)7, to = ((uintptr_t)start + size + 7) & ~(uintptr_t)7;
    if (!start || size == 0)
        return 0;
    PyObject *pair = Py_BuildValue("KK", (unsigned long long)from, (unsigned long long)(to - from));
    int failed = pair ? PyList_Append(list, pair) : -1;
    Py_XDECREF(pair);
    return failed;
}

static int add_dict(PyObject *list, PyDictObject *dict)
{
    PyDictKeysObject *keys = dict->ma_keys;
    size_t entry = DK_IS_UNICODE(keys) ? sizeof(PyDictUnicodeEntry) : sizeof(PyDictKeyEntry);
    void *entries = DK_IS_UNICODE(keys) ? (void *)DK_UNICODE_ENTRIES(keys) : (void *)DK_ENTRIES(keys);
    if (add_range(list, &dict->ma_used, sizeof dict->ma_used) < 0 ||
        add_range(list, &dict->ma_keys, sizeof dict->ma_keys + sizeof dict->ma_values) < 0)
        return -1;
    if (dict->ma_values)
        return add_range(list, dict->ma_values->values, (size_t)keys->dk_nentries * sizeof(PyObject *));
    return add_range(list, entries, (size_t)(keys->dk_nentries + keys->dk_usable) * entry);
}

static int add_set(PyObject *list, PySetObject *set)
{
    return add_range(list, &set->fill, sizeof set->fill + sizeof set->used + sizeof set->mask) < 0 ||
                   add_range(list, &set->table, sizeof set->table) < 0
               ? -1
               : add_range(list, set->table, (size_t)(set->mask + 1) * sizeof(setentry));
}

static PyObject *watch_contents(PyObject *Py_UNUSED(module), PyObject *object)
{
    PyObject *list = PyList_New(0);
    int failed = 0;
    if (!list)
        return NULL;
    if (PyList_Check(object)) {
        PyListObject *items = (PyListObject *)object;
        failed = add_range(list, &items->ob_base.ob_size, sizeof(Py_ssize_t) + sizeof items->ob_item) < 0 ||
                 add_range(list, items->ob_item, (size_t)Py_SIZE(items) * sizeof *items->ob_item) < 0;
    } else if (PyDict_Check(object)) {
        failed = add_dict(list, (PyDictObject *)object) < 0;
    } else if (PySet_Check(object)) {
        failed = add_set(list, (PySetObject *)object) < 0;
    } else if (PyByteArray_Check(object)) {
        PyByteArrayObject *bytes = (PyByteArrayObject *)object;
        failed = add_range(list, &bytes->ob_base.ob_size, sizeof(Py_ssize_t)) < 0 ||
                 add_range(list, &bytes->ob_start, sizeof bytes->ob_start) < 0 ||
                 add_range(list, bytes->ob_start, (size_t)Py_SIZE(bytes)) < 0;
    }
    if (failed)
        Py_CLEAR(list);
    return list;
}

static PyObject *watch_load(PyObject *Py_UNUSED(module), PyObject *address)
{
    PyObject **slot = PyLong_AsVoidPtr(address);
    if (!slot)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_LookupError, "nothing is kept there");
    if (!*slot)
        return PyErr_Format(PyExc_LookupError, "it has no value here");
    return Py_NewRef(*slot);
}

/* What freed memory leaves in place of a reference count is a pointer or zero. */
static bool seems_alive(PyObject *object, PyTypeObject *type)
{
    Py_ssize_t references = Py_REFCNT(object);
    return Py_TYPE(object) == type && references > 0 && references <= UINT32_MAX;
}

static PyObject *watch_object(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long address, type;
    if (!PyArg_ParseTuple(args, "KK", &address, &type))
        return NULL;
    PyObject *object = (PyObject *)(uintptr_t)address;
    if (!seems_alive(object, (PyTypeObject *)(uintptr_t)type))
        return PyErr_Format(PyExc_LookupError, "the object does not live here");
    return Py_NewRef(object);
}

static PyObject *watch_generator(PyObject *Py_UNUSED(module), PyObject *frame)
{
    if (!PyFrame_Check(frame))
        return PyErr_Format(PyExc_TypeError, "a frame is wanted");
    struct _PyInterpreterFrame *f = ((PyFrameObject *)frame)->f_frame;
    if (f->owner != FRAME_OWNED_BY_GENERATOR)
        return PyTuple_New(0);
    PyGenObject *generator = _PyFrame_GetGenerator(f);
    return Py_BuildValue("(KK)", (unsigned long long)(uintptr_t)generator, (unsigned long long)(uintptr_t)Py_TYPE(generator));
}

static PyMethodDef functions[] = {
    {"watch_generator", watch_generator, METH_O,
     "watch_generator(frame) -> (address, type_address) of the generator or coroutine that keeps the frame, or ()."},
    {"watch_local", watch_local, METH_VARARGS,
     "watch_local(frame, name) -> int: where a local variable or the content of its cell is kept, else 0."},
    {"watch_attribute", watch_attribute, METH_VARARGS,
     "watch_attribute(object, name) -> int: where the object itself keeps the attribute, else 0."},
    {"watch_item", watch_item, METH_VARARGS, "watch_item(dict_or_list, key) -> int: where the item is kept, else 0."},
    {"watch_contents", watch_contents, METH_O,
     "watch_contents(object) -> list of (address, size): what changes with the items of a list, dict, set or bytearray."},
    {"watch_load", watch_load, METH_O, "watch_load(address) -> the object that is kept there; LookupError."},
    {"watch_object", watch_object, METH_VARARGS,
     "watch_object(address, type_address) -> the object at the address; LookupError if none of the type lives there.\n"
     "Reads memory that may not be there: only for a process that is about to be thrown away."},
    {0},
};

int watch_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
