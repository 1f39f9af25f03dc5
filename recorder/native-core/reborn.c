#define Py_BUILD_CORE 1
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "reborn.h"
#include "watch.h"

#include <internal/pycore_object.h>
#include <string.h>

typedef struct {
    reborn_place place;
    uintptr_t object, block; /* what was there at the last line event, and where its memory began; 0: nothing */
    bool has_died;
} life;

static life lives[REBORN_PLACES];
static size_t life_count;

bool reborn_set(const reborn_place *places, size_t n)
{
    if (n > REBORN_PLACES)
        return false;
    memset(lives, 0, sizeof lives);
    for (size_t i = 0; i < n; i++)
        lives[i].place = places[i];
    life_count = n;
    return true;
}

/* The sanitizer must not look: much of this is freed memory. */
__attribute__((no_sanitize("address"))) static uintptr_t object_at(reborn_place place)
{
    return place.is_object ? (uintptr_t)place.address : *(const volatile uintptr_t *)(uintptr_t)place.address;
}

__attribute__((no_sanitize("address"))) static uintptr_t block_of(uintptr_t object)
{
    PyTypeObject *type = object ? Py_TYPE((PyObject *)object) : NULL;
    return type ? object - _PyType_PreHeaderSize(type) : 0;
}

static void look_after(life *each, uintptr_t object)
{
    each->object = object;
    each->has_died = false;
    each->block = 0; /* in case that reading the type is a fault */
    each->block = block_of(object);
}

unsigned reborn_since(bool is_line_event)
{
    unsigned found = 0;
    for (life *each = lives; each < lives + life_count; each++) {
        uintptr_t object = object_at(each->place);
        bool is_reborn = each->has_died && object == each->object;
        if (is_reborn)
            found |= each->place.is_object ? WATCH_OWNER_REBORN : WATCH_VALUE_REBORN;
        if (is_reborn || (is_line_event && object != each->object))
            look_after(each, object);
    }
    return found;
}

/* --- noticing deaths ------------------------------------------------------------------------------------------- */

static PyMemAllocatorEx below;

static void on_free(void *context, void *memory)
{
    for (life *each = lives; each < lives + life_count; each++)
        each->has_died |= memory && each->block == (uintptr_t)memory;
    below.free(context, memory);
}

static inline void dies(const PyObject *object)
{
    for (life *each = lives; each < lives + life_count; each++)
        each->has_died |= each->object == (uintptr_t)object;
}

static destructor float_below, list_below, tuple_below, dict_below;

static void float_dies(PyObject *object)
{
    dies(object);
    float_below(object);
}

/* Each of these limits how deep the deallocs of nested containers nest (its trashcan), but only where its type's
 * tp_dealloc is itself: so it is done here. */
#define CONTAINER_DIES(name, below)             \
    static void name(PyObject *object)          \
    {                                           \
        PyObject_GC_UnTrack(object);            \
        Py_TRASHCAN_BEGIN(object, name)         \
        dies(object);                           \
        below(object);                          \
        Py_TRASHCAN_END                         \
    }

CONTAINER_DIES(list_dies, list_below)
CONTAINER_DIES(tuple_dies, tuple_below)
CONTAINER_DIES(dict_dies, dict_below)

static void put_before(PyTypeObject *type, destructor *was, destructor ours)
{
    *was = type->tp_dealloc;
    type->tp_dealloc = ours;
}

void reborn_notice(void)
{
    if (below.free)
        return;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &below);
    PyMemAllocatorEx ours = below;
    ours.free = on_free;
    PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &ours);
    put_before(&PyFloat_Type, &float_below, float_dies);
    put_before(&PyList_Type, &list_below, list_dies);
    put_before(&PyTuple_Type, &tuple_below, tuple_dies);
    put_before(&PyDict_Type, &dict_below, dict_dies);
}
