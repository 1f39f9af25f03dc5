#include "block_types.h"

#include "arena.h"
#include "block.h"
#include "render.h"

#include <string.h>

/* Types by address. Another type may come to an address, and a class may get another name or module: then the
 * interpreter gives it another version, or the qualified name, which does not count there, is another text. */
#define TYPES 256

static block_type types[TYPES];

/* The text of the class's qualified name, if that is plain and short: else NULL. */
static const char *qualified_name(PyTypeObject *type, size_t *size)
{
    PyObject *name = ((PyHeapTypeObject *)type)->ht_qualname;
    if (!name || !PyUnicode_Check(name) || !PyUnicode_IS_ASCII(name))
        return NULL;
    *size = (size_t)PyUnicode_GET_LENGTH(name);
    return *size <= sizeof types->qualified ? PyUnicode_DATA(name) : NULL;
}

static bool is_heap_type(PyTypeObject *type)
{
    return type->tp_flags & Py_TPFLAGS_HEAPTYPE;
}

/* Whether the names that were taken of the type still are its own. */
static bool holds(const block_type *known, PyTypeObject *type)
{
    size_t size;
    if (known->type != type || known->block != block_serial)
        return false;
    if (!is_heap_type(type))
        return true;
    if (!(type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG) || !known->version || known->version != type->tp_version_tag)
        return false;
    const char *name = qualified_name(type, &size);
    return name && size == known->name_size && memcmp(name, known->qualified, size) == 0;
}

static void note_version(block_type *t, PyTypeObject *type)
{
    size_t size;
    const char *name = is_heap_type(type) ? qualified_name(type, &size) : NULL;
    bool has_version = type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG;
    t->version = name && has_version ? type->tp_version_tag : 0;
    t->name_size = 0;
    if (!t->version)
        return;
    memcpy(t->qualified, name, size);
    t->name_size = (uint8_t)size;
}

const block_type *block_type_of(PyTypeObject *type)
{
    block_type *t = &types[mix_word((uintptr_t)type) % TYPES];
    if (holds(t, type))
        return t;
    rendering name = {.size = 0}, shown = {.size = 0};
    render_type_name(type, &name);
    render_opaque(type, &shown);
    t->type = type;
    t->block = block_serial;
    t->name = block_string(name.bytes, name.size);
    t->is_opaque = type_is_opaque(type);
    t->shown = t->is_opaque ? block_string(shown.bytes, shown.size) : 0;
    t->is_cut = shown.cut;
    note_version(t, type);
    return t;
}
