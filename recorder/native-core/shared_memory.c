#include "shared_memory.h"
#include "replay.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL (64u << 10) /* a mapping up to this size is compared after every input: 2 µs */
#define MOST (256u << 20) /* a larger one is not watched */
#define PAGE 4096u

/* What is known of CPython's mmap objects, 3.11 to 3.13. */
typedef struct {
    PyObject_HEAD
    char *data;              /* NULL once it is closed */
    Py_ssize_t size;
    Py_ssize_t pos;
    off_t offset;
    Py_ssize_t exports;
} mmap_object;

typedef struct mapping {
    struct mapping *next;
    mmap_object *object;     /* borrowed: its dealloc takes it out of the list */
    int64_t number;
    char *data;
    size_t size;
    char *picture;           /* recording, once others may write: what the program has seen at most */
    bool shared;             /* others may write there */
    bool of_file;            /* what the program writes to this file shows in it: */
    dev_t device;
    ino_t file;
    int64_t offset;          /* in the file */
    bool lent;               /* replay: others' objects have this memory too, or this one has theirs */
} mapping;

static mapping *mappings;
static int64_t numbers;
static bool others;          /* may other processes write? */
static bool files;           /* is there a map of a file? */
static bool told_shared, told_large;
static destructor mmap_dealloc;

static void tell_once(bool *told, const char *text)
{
    const uint32_t size = (uint32_t)strlen(text);
    record_writer w;
    if (*told)
        return;
    *told = true;
    record_begin(&w, 0, KIND_NOTE, 0, 0);
    write_bytes(&w, "s", 1);
    write_count(&w, size);
    write_bytes(&w, text, size);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* fixed form: it cannot fail to encode */
}

static void take_picture(mapping *m)
{
    if (m->size <= MOST)
        m->picture = PyMem_RawMalloc(m->size ? m->size : 1);
    if (m->picture)
        memcpy(m->picture, m->data, m->size);
    else
        tell_once(&told_large, "the program shares more memory with other processes than can be watched: what they write "
                               "into a map over 256 MiB is not recorded, and a replay that depends on it will differ");
}

void shared_memory_begins(void)
{
    others = true;
    for (mapping *m = mappings; m; m = m->next)
        if (m->shared && !m->picture && m->object->data == m->data)
            take_picture(m);
}

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
    mapping **at = &mappings;
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

/* --- recording -------------------------------------------------------------------------------------------- */

static void write_number(record_writer *w, int64_t number)
{
    write_bytes(w, "i", 1);
    write_bytes(w, &number, 8);
}

/* The span of a page that differs: its start and end, both 0 when nothing does. */
static void differing(const char *now, const char *seen, size_t size, size_t *start, size_t *end)
{
    *start = *end = 0;
    if (memcmp(now, seen, size) == 0)
        return;
    size_t first = 0, last = size;
    while (first < last && now[first] == seen[first])
        first++;
    while (last > first && now[last - 1] == seen[last - 1])
        last--;
    *start = first; /* another process may have put it back meanwhile: then the span is empty */
    *end = last;
}

/* Writes what differs in one mapping; returns how many spans. The picture is taken first, and the record from it. */
static uint32_t write_changes(mapping *m, record_writer *w)
{
    uint32_t spans = 0;
    for (size_t page = 0; page < m->size; page += PAGE) {
        size_t size = m->size - page < PAGE ? m->size - page : PAGE, start, end;
        differing(m->data + page, m->picture + page, size, &start, &end);
        if (start == end)
            continue;
        memcpy(m->picture + page + start, m->data + page + start, end - start);
        write_bytes(w, "(\3\0\0\0", 5);
        write_number(w, m->number);
        write_number(w, (int64_t)(page + start));
        write_bytes(w, "b", 1);
        write_count(w, (uint32_t)(end - start));
        write_bytes(w, m->picture + page + start, end - start);
        spans++;
    }
    return spans;
}

static bool has_changed(const mapping *m)
{
    return memcmp(m->data, m->picture, m->size) != 0;
}

static void record_changes(mapping *m)
{
    record_writer w;
    tell_once(&told_shared, "the program shares memory with other processes: what they write is recorded at each input of "
                            "this one; read before the next input, it is not what replay shows");
    record_begin(&w, 0, KIND_MEMORY, 0, 0);
    write_bytes(&w, "[", 1);
    size_t at = (size_t)(w.p - w.start);
    write_count(&w, 0);
    uint32_t spans = write_changes(m, &w);
    if (!w.failed)
        memcpy(w.start + at, &spans, 4);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* out of memory: replay will differ, and say so */
}

void shared_memory_record(bool waited)
{
    if (!others)
        return;
    for (mapping **at = &mappings; *at;) {
        mapping *m = *at;
        if (m->object->data != m->data || (size_t)m->object->size != m->size) {
            forget(at); /* closed or resized */
            continue;
        }
        if (m->picture && (waited || m->size <= SMALL) && has_changed(m))
            record_changes(m);
        at = &m->next;
    }
}

/* --- recording: what the program writes to files that it has mapped --------------------------------------- */

/* The call has written `*size` bytes up to `*end` of the file behind the descriptor that is returned; -1: it has not. */
static int written(const boundary_entry *entry, const boundary_call *call, PyObject *result, int64_t *size, int64_t *end)
{
    static const char *const plain[] = {"posix.write", "posix.writev", "posix.sendfile"};
    static const char *const placed[] = {"posix.pwrite", "posix.pwritev"};
    const char *name = PyUnicode_AsUTF8(entry->name);
    bool is_self = strcmp(name, "_io.FileIO.write") == 0, is_placed = false, is_plain = false;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        is_plain |= strcmp(name, plain[i]) == 0;
    for (size_t i = 0; i < sizeof placed / sizeof *placed; i++)
        is_placed |= strcmp(name, placed[i]) == 0;
    if ((!is_self && !is_plain && !is_placed) || !PyLong_Check(result) || call->nargs < 1 + is_placed * 2)
        return -1;
    int fd = PyObject_AsFileDescriptor(is_self ? call->self : call->args[0]);
    *size = PyLong_AsLongLong(result);
    *end = is_placed ? PyLong_AsLongLong(call->args[2]) + *size : (int64_t)lseek(fd, 0, SEEK_CUR);
    if (PyErr_Occurred())
        PyErr_Clear(); /* no descriptor, no number: not what we look for */
    return *size > 0 && *end >= *size ? fd : -1;
}

/* As a MEMORY record says it. */
static void record_span(mapping *m, size_t start, size_t size)
{
    record_writer w;
    record_begin(&w, 0, KIND_MEMORY, 0, 0);
    write_bytes(&w, "[\1\0\0\0(\3\0\0\0", 10);
    write_number(&w, m->number);
    write_number(&w, (int64_t)start);
    write_bytes(&w, "b", 1);
    write_count(&w, (uint32_t)size);
    write_bytes(&w, m->data + start, size);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* out of memory: replay will differ, and say so */
    if (m->picture)
        memcpy(m->picture + start, m->data + start, size);
}

void shared_memory_written(const boundary_entry *entry, const boundary_call *call, PyObject *result)
{
    struct stat info;
    int64_t size, end;
    int fd = files && result ? written(entry, call, result, &size, &end) : -1;
    if (fd < 0 || fstat(fd, &info) < 0)
        return;
    for (mapping *m = mappings; m; m = m->next) {
        int64_t from = end - size - m->offset, to = end - m->offset, most = (int64_t)m->size;
        from = from < 0 ? 0 : from;
        to = to > most ? most : to;
        if (m->of_file && m->device == info.st_dev && m->file == info.st_ino && from < to && m->object->data == m->data)
            record_span(m, (size_t)from, (size_t)(to - from));
    }
}

/* --- replay ----------------------------------------------------------------------------------------------- */

static void put(PyObject *span)
{
    long long number, offset;
    const char *bytes;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(span, "LLy#", &number, &offset, &bytes, &size))
        replay_diverged("the record of shared memory is damaged");
    for (mapping *m = mappings; m; m = m->next) {
        if (m->number != number)
            continue;
        if (m->object->data != m->data)
            return; /* closed here already: the recording looks only now and then */
        if (offset < 0 || (size_t)offset > m->size || (size_t)size > m->size - (size_t)offset)
            replay_diverged("the record of shared memory is damaged");
        memcpy(m->data + offset, bytes, (size_t)size);
        return;
    }
}

void shared_memory_replay(const record_view *record)
{
    const char *p = record->payload;
    core_hide();
    PyObject *spans = decode_value(&p, p + record->size, NULL);
    if (!spans || !PyList_Check(spans))
        replay_diverged("the record of shared memory is damaged");
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(spans); i++) {
        if (!PyTuple_Check(PyList_GET_ITEM(spans, i)))
            replay_diverged("the record of shared memory is damaged");
        put(PyList_GET_ITEM(spans, i));
    }
    Py_DECREF(spans);
    core_show();
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
    files = true;
}

static PyObject *share(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object;
    int shared, open_to_all, descriptor;
    long long offset;
    if (!PyArg_ParseTuple(args, "OppiL", &object, &shared, &open_to_all, &descriptor, &offset))
        return NULL;
    mapping *m = PyMem_RawCalloc(1, sizeof *m);
    if (!m)
        return PyErr_NoMemory();
    m->object = (mmap_object *)object;
    m->data = m->object->data;
    m->size = (size_t)m->object->size;
    m->number = ++numbers;
    m->next = mappings;
    mappings = m;
    if (!mmap_dealloc) {
        PyTypeObject *type = type_of_mmap(Py_TYPE(object));
        mmap_dealloc = type->tp_dealloc;
        type->tp_dealloc = mmap_dies;
    }
    m->shared = shared;
    if (core_mode == MODE_RECORD)
        note_file(m, descriptor, offset);
    if (core_mode == MODE_RECORD && shared && (others || open_to_all))
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
    mapping *m = *of(object), *o = mappings;
    while (o && o->number != number)
        o = o->next;
    if (m && o && o->object->data == o->data && o->size >= m->size && m->size) {
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
     "share_memory(mmap, shared, open_to_all, descriptor, offset): others may write there if it is shared, before the next\n"
     "fork only if it is open to all; what this process writes to the file behind the descriptor shows there."},
    {0},
};

int shared_memory_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
