#define Py_BUILD_CORE 1
#include "observed_frees.h"

#include "arena.h"
#include "block.h"
#include "observe.h"
#include "observed_frames.h"
#include "observed_stores.h"
#include "ticks.h"

#include <internal/pycore_object.h>
#include <string.h>

/* Objects that are looked out for, by where their memory begins. Lists and dicts go to lists of spare ones without
 * being freed: a list by where its items are, which are freed; a dict is watched. */
static word_map objects, lists;
static word_map looked_for; /* by address: the kinds of facts about the object */

/* Most memory that is freed is none of these: one bit for each of their places says so at once. */
#define FILTER_BITS (1u << 20)
static uint8_t filter[FILTER_BITS / 8];

static PyMemAllocatorEx memory_below, object_below;

static inline uint32_t filter_bit(const void *memory)
{
    return (uint32_t)((uintptr_t)memory >> 4) & (FILTER_BITS - 1);
}

static inline bool may_be_known(const void *memory)
{
    uint32_t bit = filter_bit(memory);
    return filter[bit / 8] >> bit % 8 & 1;
}

static void let_pass(const void *memory)
{
    uint32_t bit = filter_bit(memory);
    filter[bit / 8] |= (uint8_t)(1 << bit % 8);
}

void observed_lost(uintptr_t address)
{
    block_row(ROW_FREED, observed_tick);
    block_address(address);
    block_key_address(FACT_FREED, address, NULL, 0);
    map_drop(&looked_for, address);
}

/* --- the allocators ------------------------------------------------------------------------------------------ */

static void known_is_freed(word_map *map, void *memory)
{
    uintptr_t object = (uintptr_t)map_get(map, (uintptr_t)memory);
    if (!object)
        return;
    map_drop(map, (uintptr_t)memory);
    if (observing)
        observed_lost(object);
}

static void on_object_free(void *context, void *memory)
{
    if (memory && may_be_known(memory))
        known_is_freed(&objects, memory);
    object_below.free(context, memory);
}

static void on_memory_free(void *context, void *memory)
{
    if (arena_holds(memory))
        return;
    if (memory && may_be_known(memory))
        known_is_freed(&lists, memory);
    memory_below.free(context, memory);
}

static void *on_memory_realloc(void *context, void *memory, size_t size)
{
    void *moved = memory_below.realloc(context, memory, size);
    if (moved && memory && moved != memory && may_be_known(memory)) {
        uint64_t list = map_get(&lists, (uintptr_t)memory);
        if (list) {
            map_drop(&lists, (uintptr_t)memory);
            map_put(&lists, (uintptr_t)moved, list);
            let_pass(moved);
        }
    }
    return moved;
}

static void exchange_allocators(void)
{
    PyMemAllocatorEx ours;
    PyMem_GetAllocator(PYMEM_DOMAIN_MEM, &ours);
    if (ours.free == on_memory_free)
        return;
    memory_below = ours;
    ours.free = on_memory_free;
    ours.realloc = on_memory_realloc;
    PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &ours);
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &ours);
    object_below = ours;
    ours.free = on_object_free;
    PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &ours);
}

/* --- dicts ----------------------------------------------------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030C0000

static int watcher = -1;

/* What our own code stores for the program is not told of one by one. */
static int on_dict(PyDict_WatchEvent event, PyObject *dict, PyObject *key, PyObject *value)
{
    unsigned kinds = observing ? (unsigned)map_get(&looked_for, (uintptr_t)dict) : 0;
    bool is_one = event == PyDict_EVENT_ADDED || event == PyDict_EVENT_MODIFIED || event == PyDict_EVENT_DELETED;
    if (kinds && is_one && !ticks_hidden)
        observed_dict_store(dict, key, value, kinds);
    else if (kinds)
        observed_lost((uintptr_t)dict);
    return 0;
}

static bool watch_dicts(void)
{
    if (watcher < 0)
        watcher = PyDict_AddWatcher(on_dict);
    PyErr_Clear();
    return watcher >= 0;
}

static void look_for_dict(PyObject *dict)
{
    PyDict_Watch(watcher, dict);
}

#else

static bool watch_dicts(void)
{
    return true;
}

/* Nothing tells of the end of a dict in 3.11: it is not known from the beginning. */
static void look_for_dict(PyObject *dict)
{
    observed_lost((uintptr_t)dict);
}

#endif

/* --- looking out ------------------------------------------------------------------------------------------------ */

bool observed_frees_begin(void)
{
    exchange_allocators();
    map_clear(&objects);
    map_clear(&lists);
    map_clear(&looked_for);
    memset(filter, 0, sizeof filter);
    return watch_dicts();
}

static void look_for_memory(word_map *map, const void *memory, PyObject *object)
{
    map_put(map, (uintptr_t)memory, (uintptr_t)object);
    let_pass(memory);
}

void observed_free_of(PyObject *object, enum fact_kind kind)
{
    uint64_t kinds = map_get(&looked_for, (uintptr_t)object);
    if (kinds & kind)
        return;
    map_put(&looked_for, (uintptr_t)object, kinds | kind);
    if (kinds)
        return;
    if (PyDict_CheckExact(object))
        look_for_dict(object);
    else if (!PyList_CheckExact(object))
        look_for_memory(&objects, (char *)object - _PyType_PreHeaderSize(Py_TYPE(object)), object);
    else if (((PyListObject *)object)->ob_item)
        look_for_memory(&lists, ((PyListObject *)object)->ob_item, object);
    else
        observed_lost((uintptr_t)object); /* it has no items that could be freed with it */
}
