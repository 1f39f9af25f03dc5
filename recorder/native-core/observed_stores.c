#define Py_BUILD_CORE 1
#include "observed_stores.h"

#include "block_types.h"
#include "observed_frees.h"

#include <internal/pycore_dict.h>

/* The store that was told of last: of which frame, at which instruction and what about. */
static struct {
    const frame *f;
    uint32_t at;
    uint64_t tick;
    PyObject *object; /* borrowed, an address only */
    enum fact_kind kind;
} latest;

static PyObject *own_dict(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyObject *dict = PyType_GetDict(type);
    Py_XDECREF(dict); /* the type keeps it */
    return dict;
#else
    return type->tp_dict;
#endif
}

/* As _PyType_Lookup, but past the interpreter's cache of methods: what is in that keeps names alive, and this name
 * may not be there in a run that is not observed. Borrowed. */
static PyObject *class_attribute(PyTypeObject *type, PyObject *name)
{
    Py_hash_t hash = PyObject_Hash(name);
    for (Py_ssize_t i = 0; type->tp_mro && i < PyTuple_GET_SIZE(type->tp_mro); i++) {
        PyObject *dict = own_dict((PyTypeObject *)PyTuple_GET_ITEM(type->tp_mro, i));
        PyObject *found = dict ? _PyDict_GetItem_KnownHash(dict, name, hash) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

/* Stores to what nobody has redefined: the value is kept by the object itself, under the name. A setter in Python has
 * stores of its own. */
static bool keeps_attribute(PyObject *object, PyObject *name, setattrofunc store)
{
    PyTypeObject *type = Py_TYPE(object);
    bool is_class = store == PyType_Type.tp_setattro && !(((PyTypeObject *)object)->tp_flags & Py_TPFLAGS_IMMUTABLETYPE);
    if ((!is_class && store != PyObject_GenericSetAttr) || !PyUnicode_CheckExact(name))
        return false;
    PyObject *found = class_attribute(type, name);
    return !found || !Py_TYPE(found)->tp_descr_set || Py_IS_TYPE(found, &PyMemberDescr_Type);
}

static bool keeps_items(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    const PyMappingMethods *mapping = type->tp_as_mapping;
    objobjargproc store = mapping ? mapping->mp_ass_subscript : NULL;
    if (!store)
        return false;
    return !(type->tp_flags & Py_TPFLAGS_HEAPTYPE) || store == PyDict_Type.tp_as_mapping->mp_ass_subscript ||
           store == PyList_Type.tp_as_mapping->mp_ass_subscript;
}

static void note(const frame *f, uint32_t at, PyObject *object, enum fact_kind kind)
{
    latest.f = f;
    latest.at = at;
    latest.tick = observed_tick;
    latest.object = object;
    latest.kind = kind;
    observed_free_of(object, kind);
}

/* Whether the frame stands at the store that was told of last. */
static bool is_latest(const frame *f)
{
    return latest.f && latest.f == f && latest.tick == observed_tick && frame_unit(f) == latest.at;
}

static void write_attribute(PyObject *object, PyObject *name, PyObject *value)
{
    uint32_t text = block_str(name), type_text = block_type_of(Py_TYPE(object))->name;
    block_row(ROW_ATTR, observed_tick);
    block_address((uintptr_t)object);
    block_put(COLUMN_STORES, text);
    block_put(COLUMN_STORES, type_text);
    block_value(value, INT_PLACE_OF_ROW(ROW_ATTR));
    block_key_address(FACT_ATTR, (uintptr_t)object, name, text);
}

static void write_item(PyObject *object, PyObject *key, PyObject *value)
{
    block_row(ROW_ITEM, observed_tick);
    block_address((uintptr_t)object);
    block_value(key, INT_PLACE_OF_ROW(ROW_KINDS));
    block_value(value, INT_PLACE_OF_ROW(ROW_ITEM));
    block_key_address(FACT_ITEM, (uintptr_t)object, NULL, 0);
}

static void write_name(PyObject *namespace, PyObject *name, PyObject *value)
{
    uint32_t text = block_str(name);
    block_row(ROW_NAME, observed_tick);
    block_address((uintptr_t)namespace);
    block_put(COLUMN_STORES, text);
    block_value(value, INT_PLACE_OF_ROW(ROW_NAME));
    block_key_address(FACT_NAME, (uintptr_t)namespace, name, text);
}

static void store_attribute(const frame *f, const code_facts *facts, const code_site *site)
{
    bool deletes = site->kind == SITE_DELETE_ATTR;
    PyObject *object = site_operand(f, facts, site, 1), *name = PyTuple_GET_ITEM(facts->code->co_names, site->argument);
    if (!keeps_attribute(object, name, Py_TYPE(object)->tp_setattro))
        return;
    write_attribute(object, name, deletes ? NULL : site_operand(f, facts, site, 2));
    note(f, site->at, object, FACT_ATTR);
}

static void store_item(const frame *f, const code_facts *facts, const code_site *site)
{
    bool is_slice = site->kind == SITE_STORE_SLICE;
    PyObject *object = site_operand(f, facts, site, is_slice ? 3 : 2);
    if (!keeps_items(object))
        return;
    PyObject *value = site->kind == SITE_DELETE_ITEM ? NULL : site_operand(f, facts, site, is_slice ? 4 : 3);
    write_item(object, is_slice ? NULL : site_operand(f, facts, site, 1), value);
    note(f, site->at, object, FACT_ITEM);
}

static void store_name(const frame *f, const code_facts *facts, const code_site *site)
{
    bool is_global = site->kind == SITE_STORE_GLOBAL || site->kind == SITE_DELETE_GLOBAL;
    bool deletes = site->kind == SITE_DELETE_GLOBAL || site->kind == SITE_DELETE_NAME;
    PyObject *namespace = frame_namespace(f, is_global);
    if (!namespace || !PyDict_CheckExact(namespace))
        return;
    write_name(namespace, PyTuple_GET_ITEM(facts->code->co_names, site->argument),
               deletes ? NULL : site_operand(f, facts, site, 1));
    note(f, site->at, namespace, FACT_NAME);
}

void observed_store(const frame *f, const code_facts *facts, const code_site *site)
{
    switch (site->kind) {
    case SITE_STORE_ATTR:
    case SITE_DELETE_ATTR:
        store_attribute(f, facts, site);
        break;
    case SITE_STORE_ITEM:
    case SITE_DELETE_ITEM:
    case SITE_STORE_SLICE:
        store_item(f, facts, site);
        break;
    default:
        store_name(f, facts, site);
    }
}

void observed_store_fails(const frame *f)
{
    if (!is_latest(f))
        return;
    observed_lost((uintptr_t)latest.object);
    latest.f = NULL;
}

/* --- stores in C ------------------------------------------------------------------------------------------------ */

void observed_dict_store(PyObject *dict, PyObject *key, PyObject *value, unsigned kinds)
{
    const frame *f = frames_current();
    bool is_told = is_latest(f) && latest.object == dict;
    observed_settle(f);
    if (kinds & FACT_ITEM && !(is_told && latest.kind == FACT_ITEM))
        write_item(dict, key, value);
    if (kinds & FACT_NAME && PyUnicode_CheckExact(key) && !(is_told && latest.kind == FACT_NAME))
        write_name(dict, key, value);
    if (is_told)
        latest.f = NULL;
}

void observed_attribute_store(PyObject *object, PyObject *name, PyObject *value, setattrofunc store)
{
    if (!keeps_attribute(object, name, store))
        return;
    const frame *f = frames_current();
    observed_settle(f);
    write_attribute(object, name, value);
    note(f, f ? frame_unit(f) : 0, object, FACT_ATTR);
}
