/* CPython's lists of container objects: the one place that knows their layout (3.11 to 3.13, default build).
 *
 * A list is a ring through the two words before each object. `_gc_next` is 0 for an object that is not tracked. The
 * two lowest bits of `_gc_prev` are flags, the rest points back; while a collection runs it may hold a number
 * instead, and the flag GC_MARKED says so. CPython's collector uses both in the same way, never at the same time.
 */
#ifndef RETROSCOPE_GC_LISTS_H
#define RETROSCOPE_GC_LISTS_H

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include "core.h"

#include <internal/pycore_gc.h>
#include <internal/pycore_interp.h>

typedef struct _gc_runtime_state gc_state;

#define GC_MARKED ((uintptr_t)_PyGC_PREV_MASK_COLLECTING)

static inline PyGC_Head *gc_head(PyObject *object)
{
    return (PyGC_Head *)(void *)object - 1;
}

static inline PyObject *gc_object(PyGC_Head *head)
{
    return (PyObject *)(void *)(head + 1);
}

static inline PyGC_Head *gc_generation(gc_state *state, int number)
{
    return &state->generations[number].head;
}

static inline PyGC_Head *gc_next(const PyGC_Head *head)
{
    return (PyGC_Head *)head->_gc_next;
}

static inline PyGC_Head *gc_previous(const PyGC_Head *head)
{
    return (PyGC_Head *)(head->_gc_prev & _PyGC_PREV_MASK);
}

static inline void gc_set_previous(PyGC_Head *head, const PyGC_Head *previous)
{
    head->_gc_prev = (head->_gc_prev & _PyGC_PREV_MASK_FINALIZED) | (uintptr_t)previous;
}

/* PyObject_IS_GC without a call. */
static inline int gc_is_container(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return PyType_IS_GC(type) && (!type->tp_is_gc || type->tp_is_gc(object));
}

static inline int gc_is_tracked(PyObject *object)
{
    return gc_head(object)->_gc_next != 0;
}

/* --- a number in place of the way back --- */

static inline void gc_mark(PyGC_Head *head, size_t number)
{
    head->_gc_prev = (head->_gc_prev & _PyGC_PREV_MASK_FINALIZED) | GC_MARKED | number << _PyGC_PREV_SHIFT;
}

static inline int gc_is_marked(PyObject *object)
{
    return (gc_head(object)->_gc_prev & GC_MARKED) != 0;
}

static inline size_t gc_number(PyObject *object)
{
    return gc_head(object)->_gc_prev >> _PyGC_PREV_SHIFT;
}

/* --- lists --- */

static inline void gc_list_empty(PyGC_Head *list)
{
    list->_gc_next = list->_gc_prev = (uintptr_t)list;
}

static inline int gc_list_is_empty(const PyGC_Head *list)
{
    return gc_next(list) == list;
}

/* Moves all of `from` behind the end of `to`. */
static inline void gc_list_append(PyGC_Head *to, PyGC_Head *from)
{
    if (gc_list_is_empty(from))
        return;
    PyGC_Head *first = gc_next(from), *last = gc_previous(from), *end = gc_previous(to);
    end->_gc_next = (uintptr_t)first;
    gc_set_previous(first, end);
    last->_gc_next = (uintptr_t)to;
    gc_set_previous(to, last);
    gc_list_empty(from);
}

/* Moves one object behind the end of `to`. */
static inline void gc_list_move(PyGC_Head *to, PyGC_Head *head)
{
    PyGC_Head *before = gc_previous(head), *after = gc_next(head), *end = gc_previous(to);
    before->_gc_next = (uintptr_t)after;
    gc_set_previous(after, before);
    end->_gc_next = (uintptr_t)head;
    gc_set_previous(head, end);
    head->_gc_next = (uintptr_t)to;
    gc_set_previous(to, head);
}

static inline size_t gc_list_length(const PyGC_Head *list)
{
    size_t n = 0;
    for (const PyGC_Head *at = gc_next(list); at != list; at = gc_next(at))
        n++;
    return n;
}

#endif
