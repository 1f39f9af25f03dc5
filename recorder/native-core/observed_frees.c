#include "observed_frees.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "arena.h"

static PyMemAllocatorEx below; /* of PyMem_Malloc and its like */

static void on_free(void *context, void *memory)
{
    if (!arena_holds(memory))
        below.free(context, memory);
}

void observed_frees_begin(void)
{
    PyMemAllocatorEx ours;
    PyMem_GetAllocator(PYMEM_DOMAIN_MEM, &ours);
    if (ours.free == on_free)
        return;
    below = ours;
    ours.free = on_free;
    PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &ours);
}
