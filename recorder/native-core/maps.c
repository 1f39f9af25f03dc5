#include "maps.h"
#include "shared_memory.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

mapping *maps;
bool maps_of_files;
static int64_t numbers;
static destructor mmap_dealloc;

/* Takes it out of the list, and the memory of what is known of it. */
static void forget(mapping **at)
{
    mapping *m = *at;
    *at = m->next;
    PyMem_RawFree(m->picture);
    PyMem_RawFree(m);
}

/* Replay: an object that has its memory in common with others gets some of its own, with the same content if that still
 * counts: CPython is about to give it back, or to move it. The common one stays. 0, or -1 with an exception. */
static int part(mapping *m, bool copy)
{
    mmap_object *map = m->object;
    size_t size = (size_t)map->size;
    if (!m->lent || !map->data || map->exports)
        return 0; /* CPython refuses to close or to resize what is in use */
    char *own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (own == MAP_FAILED) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    if (copy)
        memcpy(own, map->data, size);
    map->data = m->data = own;
    m->lent = false;
    return 0;
}

static mapping **of(PyObject *object)
{
    mapping **at = &maps;
    while (*at && (PyObject *)(*at)->object != object)
        at = &(*at)->next;
    return at;
}

static void mmap_dies(PyObject *object)
{
    mapping **at = of(object);
    if (*at) {
        if (part(*at, false) < 0) {
            PyErr_WriteUnraisable(NULL);
            ((mmap_object *)object)->data = NULL; /* it is not unmapped then */
        }
        forget(at);
    }
    mmap_dealloc(object);
}

/* --- for Python ------------------------------------------------------------------------------------------- */

static PyTypeObject *type_of_mmap(PyTypeObject *type)
{
    while (type->tp_base && type->tp_base != &PyBaseObject_Type)
        type = type->tp_base;
    return type;
}

static void note_file(mapping *m, int descriptor, long long offset)
{
    struct stat info;
    m->of_file = descriptor >= 0 && fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
    if (!m->of_file)
        return;
    m->device = info.st_dev;
    m->file = info.st_ino;
    m->offset = offset;
    maps_of_files = true;
}

static mapping *add(mmap_object *object)
{
    mapping *m = PyMem_RawCalloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->object = object;
    m->data = object->data;
    m->size = (size_t)object->size;
    m->number = ++numbers;
    m->next = maps;
    maps = m;
    if (!mmap_dealloc) {
        PyTypeObject *type = type_of_mmap(Py_TYPE(object));
        mmap_dealloc = type->tp_dealloc;
        type->tp_dealloc = mmap_dies;
    }
    return m;
}

static PyObject *share(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object, *pieces;
    int shared, watch, descriptor;
    long long offset;
    if (!PyArg_ParseTuple(args, "OpiiLO", &object, &shared, &watch, &descriptor, &offset, &pieces))
        return NULL;
    mapping *m = add((mmap_object *)object);
    if (!m)
        return PyErr_NoMemory();
    m->shared = shared;
    m->watch = (enum map_watch)watch;
    if (core_mode == MODE_RECORD)
        note_file(m, descriptor, offset);
    if (watch == WATCH_NOW_ALL)
        shared_memory_begins();
    shared_memory_watch(m, pieces);
    Py_RETURN_NONE;
}

static PyObject *starts_process(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    shared_memory_begins();
    Py_RETURN_NONE;
}

/* Replay processes are forked, and must not see what the others do. */
static PyObject *keep_private(PyObject *Py_UNUSED(module), PyObject *object)
{
    mmap_object *map = (mmap_object *)object;
    size_t size = (size_t)map->size;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    if (size && mmap(map->data, size, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

/* Recording: the number of an earlier map in which the program sees all that it writes into this one; 0: none. */
static PyObject *earlier(PyObject *Py_UNUSED(module), PyObject *object)
{
    const mapping *m = *of(object), *found = NULL;
    for (const mapping *o = m ? m->next : NULL; o && m->shared && m->of_file; o = o->next)
        if (o->shared && o->of_file && o->device == m->device && o->file == m->file && o->offset == m->offset &&
            o->object->data == o->data && o->size >= m->size)
            found = o;
    return PyLong_FromLongLong(found ? found->number : 0);
}

/* Replay: so that it sees it there too. */
static PyObject *join(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object;
    long long number;
    if (!PyArg_ParseTuple(args, "OL", &object, &number))
        return NULL;
    mapping *m = *of(object), *o = maps;
    while (o && o->number != number)
        o = o->next;
    if (m && o && o->object->data == o->data && o->size >= m->size && m->size) {
        memcpy(o->data, m->data, m->size); /* which is what the file held just now */
        munmap(m->data, m->size);
        m->object->data = m->data = o->data;
        m->lent = o->lent = true;
    }
    Py_RETURN_NONE;
}

static PyObject *leave(PyObject *Py_UNUSED(module), PyObject *object)
{
    mapping *m = *of(object);
    return m && part(m, true) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef functions[] = {
    {"earlier_memory", earlier, METH_O, "earlier_memory(mmap): the number of a shared one of the same memory; 0: none."},
    {"join_memory", join, METH_VARARGS, "join_memory(mmap, number): replay: it is the memory of that one from now on."},
    {"leave_memory", leave, METH_O, "leave_memory(mmap): before it is closed or resized: others keep the memory."},
    {"unshare_memory", keep_private, METH_O, "unshare_memory(mmap): of zeros, as yet; forks of this process get copies."},
    {"share_memory", share, METH_VARARGS,
     "share_memory(mmap, shared, watch, descriptor, offset, pieces): what is written there shows elsewhere if it is shared;\n"
     "what others write there is recorded as `watch` says (maps.h); what this process writes to the file behind the\n"
     "descriptor shows there. It holds the pieces, (place, content), and zeros; None: what it does."},
    {"starts_process", starts_process, METH_NOARGS, "starts_process(): from now on others may write into shared maps."},
    {0},
};

int maps_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
