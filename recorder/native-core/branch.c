#define _GNU_SOURCE
#include "branch.h"

#include "collector.h"
#include "control.h"
#include "digest.h"
#include "look.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

bool branch_is_here;

/* At the beginning of the file; chunks as in a record with output follow: descriptor, size, bytes. */
typedef struct {
    _Atomic uint64_t used; /* bytes of chunks */
    _Atomic uint64_t lost; /* bytes of output that had no room */
} branch_head;

static branch_head *written;
static uint64_t room;

bool branch_begin(int fd)
{
    struct stat info;
    if (branch_is_here || fstat(fd, &info) < 0 || (uint64_t)info.st_size <= sizeof *written)
        return false;
    void *at = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return false;
    written = at;
    room = (uint64_t)info.st_size - sizeof *written;
    branch_is_here = true;
    look_limit();
    return true;
}

static void keep(uint32_t fd, const Py_buffer *data)
{
    uint32_t head[2] = {fd, (uint32_t)data->len};
    if (data->len > UINT32_MAX || (uint64_t)data->len + sizeof head > room - written->used) {
        written->lost += (uint64_t)data->len;
        return;
    }
    char *at = (char *)(written + 1) + written->used;
    memcpy(at, head, sizeof head);
    memcpy(at + sizeof head, data->buf, (size_t)data->len);
    written->used += sizeof head + (uint64_t)data->len;
}

/* The descriptor that a call writes to, -1 when it is none. */
static int descriptor_of(const boundary_entry *entry, const boundary_call *call)
{
    if (entry->descriptor < 0)
        return *(int *)((char *)call->self + sizeof(PyObject));
    if (entry->descriptor < call->nargs && PyLong_CheckExact(call->args[entry->descriptor])) {
        int fd = (int)PyLong_AsLong(call->args[entry->descriptor]);
        PyErr_Clear();
        return fd;
    }
    return -1;
}

static bool is_output(const record_view *record)
{
    return record->kind == KIND_RESULT && (record->flags & FLAG_OUTPUT) && record->size >= 8;
}

/* 1 or 2 where the call writes to the program's output or error, else 0. A look takes nothing from the record. */
static uint32_t output_of(const boundary_entry *entry, const boundary_call *call)
{
    record_view record;
    int fd = descriptor_of(entry, call);
    uint32_t standard = fd == 1 || fd == 2 ? (uint32_t)fd : 0, recorded = standard;
    if (core_looking || stream_peek(&record) != 1 || record.callable != entry->id || record.kind != KIND_RESULT)
        return standard;
    if (is_output(&record))
        memcpy(&recorded, record.payload, sizeof recorded); /* a duplicate of 1 or 2 may lead there too */
    else if (!standard || record.digest != digest_call(call, -1))
        return standard; /* it led elsewhere in the recording, with a write that is not this one */
    stream_take();
    collector_as_recorded();
    return recorded;
}

PyObject *branch_write(boundary_entry *entry, const boundary_call *call)
{
    Py_buffer data;
    if (entry->index >= call->nargs)
        return NULL;
    uint32_t fd = output_of(entry, call);
    if (!fd || PyObject_GetBuffer(call->args[entry->index], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    keep(fd, &data);
    PyObject *result = PyLong_FromSsize_t(data.len);
    PyBuffer_Release(&data);
    return result;
}

bool branch_passes(const record_view *record, unsigned wanted)
{
    return branch_is_here && (is_output(record) || (record->kind == KIND_ADDRESS && wanted != KIND_ADDRESS));
}

bool branch_lacks_addresses(void)
{
    record_view record;
    if (!branch_is_here)
        return false;
    while (stream_peek(&record) == 1 && is_output(&record)) {
        stream_take();
        collector_as_recorded();
    }
    return stream_peek(&record) != 1 || record.kind != KIND_ADDRESS;
}
