#define _GNU_SOURCE
#include "shared_memory.h"
#include "branch.h"
#include "maps.h"
#include "replay.h"
#include "wall_clock.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SMALL (64u << 10) /* a map up to this size is compared after every input: 2 µs */
#define MOST (256u << 20) /* a larger one is not watched */
#define PAGE 4096u
#define PAGES 256         /* that are asked about at once */

/* Digest of a MEMORY record: what it belongs to, the outcome that follows or what stands before it. */
enum { OF_OUTCOME, OF_BEFORE };

static bool others;          /* may other processes write into what they do not write into already? */

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

/* How much of it can be read without a fault: a file that was made shorter meanwhile has no more pages. Recording. */
static size_t readable(const mapping *m)
{
    struct iovec pages[PAGES];
    char bytes[PAGES];
    size_t seen = 0;
    while (m->of_file && seen < m->size) {
        int n = 0;
        for (size_t page = seen; page < m->size && n < PAGES; page += PAGE)
            pages[n++] = (struct iovec){m->data + page, 1};
        struct iovec here = {bytes, (size_t)n};
        ssize_t read = process_vm_readv(getpid(), &here, 1, pages, (unsigned long)n, 0);
        if (read < 0 && errno != EFAULT)
            break; /* not allowed here: then it is as it was */
        seen += (size_t)(read < 0 ? 0 : read) * PAGE;
        if (read < n)
            return seen < m->size ? seen : m->size;
    }
    return m->size;
}

/* The same on both sides, for the comparisons are. */
static void take_picture(mapping *m)
{
    static bool told;
    if (m->size <= MOST)
        m->picture = PyMem_RawCalloc(m->size ? m->size : 1, 1);
    if (m->picture)
        memcpy(m->picture, m->data, core_mode == MODE_RECORD ? readable(m) : m->size);
    else if (core_mode == MODE_RECORD)
        tell_once(&told, "the program shares more memory with other processes than can be watched: what they write "
                               "into a map over 256 MiB is not recorded, and a replay that depends on it will differ");
}

void shared_memory_begins(void)
{
    others = true;
    for (mapping *m = maps; m; m = m->next)
        if (m->watch != WATCH_NEVER && !m->picture && map_is_whole(m))
            take_picture(m);
}

/* Recording: it holds what the record of the map says, which others may have changed since. */
static void paint(mapping *m, PyObject *pieces)
{
    memset(m->picture, 0, m->size);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pieces); i++) {
        PyObject *piece = PyList_GET_ITEM(pieces, i), *content = PyTuple_GET_ITEM(piece, 1);
        memcpy(m->picture + PyLong_AsSsize_t(PyTuple_GET_ITEM(piece, 0)), PyBytes_AS_STRING(content),
               (size_t)PyBytes_GET_SIZE(content));
    }
}

void shared_memory_watch(mapping *m, PyObject *pieces)
{
    if (!m->picture && (m->watch >= WATCH_NOW || (others && m->watch == WATCH_LATER)))
        take_picture(m);
    if (m->picture && PyList_Check(pieces))
        paint(m, pieces);
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

/* Writes what differs in the first `most` bytes of a map; returns how many spans. The picture is taken first, and the
 * record from it. */
static uint32_t write_changes(mapping *m, size_t most, record_writer *w)
{
    uint32_t spans = 0;
    for (size_t page = 0; page < most; page += PAGE) {
        size_t size = most - page < PAGE ? most - page : PAGE, start, end;
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

static void write_record(mapping *m, size_t most, unsigned part_of)
{
    record_writer w;
    record_begin(&w, 0, KIND_MEMORY, 0, part_of);
    write_bytes(&w, "[", 1);
    size_t at = (size_t)(w.p - w.start);
    write_count(&w, 0);
    uint32_t spans = write_changes(m, most, &w);
    if (!w.failed)
        memcpy(w.start + at, &spans, 4);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* out of memory: replay will differ, and say so */
}

/* Is it compared here, after a call of `entry` (NULL: where a handler begins)? On both sides the same. */
static bool is_compared(mapping *m, const boundary_entry *entry)
{
    if (m->picture && !map_is_whole(m)) {
        PyMem_RawFree(m->picture);
        m->picture = NULL;
        m->watch = WATCH_NEVER;
    }
    return m->picture && (m->size <= SMALL || !entry || entry->asks || entry->blocking != BLOCKS_NEVER);
}

static void tell_shared(const mapping *m)
{
    static bool told, told_of_large;
    if (m->size <= SMALL)
        tell_once(&told, "the program shares memory with other processes: what they write is recorded at each input of "
                         "this one; read before the next input, it is not what replay shows");
    else
        tell_once(&told_of_large, "the program shares memory with other processes: what they write into a map over 64 KiB is "
                                  "recorded where this one waits, or asks about files, processes and semaphores; read "
                                  "before that, it is not what replay shows");
}

void shared_memory_record(const boundary_entry *entry)
{
    for (mapping *m = maps; m; m = m->next) {
        size_t most = is_compared(m, entry) ? readable(m) : 0;
        if (most == 0 || memcmp(m->data, m->picture, most) == 0)
            continue;
        tell_shared(m);
        wall_clock_after_wait();
        write_record(m, most, OF_OUTCOME);
    }
}

void shared_memory_record_inside(void)
{
    for (mapping *m = maps; m; m = m->next)
        if (is_compared(m, NULL))
            write_record(m, readable(m), OF_BEFORE);
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
    int fd = maps_of_files && result ? written(entry, call, result, &size, &end) : -1;
    if (fd < 0 || fstat(fd, &info) < 0)
        return;
    for (mapping *m = maps; m; m = m->next) {
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
    for (mapping *m = maps; m; m = m->next) {
        if (m->number != number)
            continue;
        if (m->object->data != m->data)
            return; /* closed here already: the recording looks only now and then */
        if (offset < 0 || (size_t)offset > m->size || (size_t)size > m->size - (size_t)offset)
            replay_diverged("the record of shared memory is damaged");
        memcpy(m->data + offset, bytes, (size_t)size);
        if (m->picture)
            memcpy(m->picture + offset, bytes, (size_t)size);
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

void shared_memory_restore(const boundary_entry *entry)
{
    for (mapping *m = branch_is_here ? NULL : maps; m; m = m->next) {
        if (!is_compared(m, entry))
            continue;
        for (size_t page = 0; page < m->size; page += PAGE) {
            size_t size = m->size - page < PAGE ? m->size - page : PAGE;
            if (memcmp(m->data + page, m->picture + page, size) != 0)
                memcpy(m->data + page, m->picture + page, size);
        }
    }
}

void shared_memory_replay_inside(void)
{
    record_view record;
    bool compared = false;
    while (stream_peek(&record) == 1 && record.kind == KIND_MEMORY && record.digest == OF_BEFORE) {
        shared_memory_replay(&record);
        stream_take();
        compared = true;
    }
    if (compared)
        shared_memory_restore(NULL);
}
