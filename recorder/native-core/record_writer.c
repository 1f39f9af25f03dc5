#include "record_writer.h"
#include "allocations.h"
#include "joining.h"
#include "ring.h"

#include <string.h>
#include <unistd.h>

#define INLINE_BYTES 4096 /* a record up to this size is encoded in the ring, in place */

static ring producer;
static uint64_t head;          /* our own copy of header->head: we are the only writer */
static int attached;
uint64_t record_count;
unsigned record_flags_next;
bool record_is_open;

int record_attach(int fd)
{
    if (ring_map(&producer, fd) < 0)
        return -1;
    head = atomic_load(&producer.header->head);
    atomic_store(&producer.header->producer_state, RING_RECORDING);
    attached = 1;
    return 0;
}

int record_is_on(void)
{
    return attached;
}

static joining_place child = {-1, -1};

void record_before_fork(void)
{
    if (attached)
        child = joining_ask(producer.header, head, record_count);
}

void record_after_fork(void)
{
    joining_leave(&child);
}

int record_in_child(void)
{
    if (attached)
        ring_unmap(&producer);
    attached = 0;
    record_count = 0;
    if (child.ring >= 0 && record_attach(child.ring) == 0)
        joining_take(&child);
    joining_leave(&child);
    return attached ? 0 : -1;
}

void record_exits(int status)
{
    if (producer.header)
        atomic_store(&producer.header->exit_status, 1 + (uint64_t)(status & 0xFF));
}

void record_calls_exec(int on)
{
    if (attached)
        atomic_store(&producer.header->replaced, (uint64_t)on);
}

const char *record_door(void)
{
    return attached ? producer.header->door : "";
}

int record_process(void)
{
    return attached ? (int)producer.header->process : 0;
}

void record_saw_start(int pid)
{
    if (attached)
        joining_saw_start(producer.header, pid);
}

void record_saw_end(int pid, int status)
{
    if (attached)
        joining_saw_end(producer.header, pid, status);
}

/* The consumer is gone or refuses: the program goes on unrecorded, and the user hears of it once. */
static void give_up(void)
{
    static const char gone[] = "scope: the process that stores the recording is gone: what the program does is not "
                               "recorded any more. The trace is good up to its last commit.\n";
    uint64_t refused = atomic_load(&producer.header->consumer_state) == RING_REFUSES;
    atomic_store(&producer.header->producer_state, RING_GAVE_UP);
    attached = 0;
    if (!refused && write(2, gone, sizeof gone - 1) < 0)
        return; /* nobody is left to tell */
}

void record_close(void)
{
    if (attached && ring_consumer_is_gone(&producer))
        give_up();
    if (attached)
        atomic_store(&producer.header->producer_state, RING_CLOSED);
    attached = 0;
}

/* --- the writer ------------------------------------------------------------------------------- */

static char nowhere[INLINE_BYTES]; /* where a record goes that nobody will read */

void record_begin(record_writer *w, unsigned callable, unsigned kind, unsigned flags, uint32_t digest)
{
    record_is_open = true;
    char *place = attached ? ring_reserve(&producer, head, INLINE_BYTES) : NULL;
    if (!place) {
        if (attached)
            give_up();
        place = nowhere;
    }
    w->start = place;
    w->end = place + INLINE_BYTES;
    w->heap = NULL;
    w->failed = w->plain = 0;
    uint16_t id = (uint16_t)callable;
    memcpy(place, &id, 2);
    place[2] = (char)kind;
    place[3] = (char)(kind == KIND_NOTE || kind == KIND_CLOCK || kind == KIND_MEMORY ? flags : flags | record_flags_next);
    memcpy(place + 4, &digest, 4);
    w->p = place + RECORD_HEADER_BYTES;
}

int record_grow(record_writer *w, size_t n)
{
    size_t used = (size_t)(w->p - w->start);
    size_t wanted = (used + n) * 2;
    char *heap = realloc(w->heap, wanted);
    if (!heap) {
        PyErr_NoMemory();
        w->failed = 1;
        return -1;
    }
    if (!w->heap)
        memcpy(heap, w->start, used);
    w->heap = w->start = heap;
    w->p = heap + used;
    w->end = heap + wanted;
    return 0;
}

/* A record too big for the inline space is copied in pieces; the drain may take them at once. */
static void publish_heap(record_writer *w, size_t n)
{
    const size_t piece = producer.size / 4;
    for (size_t done = 0; done < n;) {
        size_t k = n - done < piece ? n - done : piece;
        char *place = ring_reserve(&producer, head, k);
        if (!place) {
            give_up();
            return;
        }
        memcpy(place, w->heap + done, k);
        done += k;
        head += k;
        atomic_store_explicit(&producer.header->head, head, memory_order_release);
    }
    atomic_store_explicit(&producer.header->commit, head, memory_order_release);
}

int record_end(record_writer *w)
{
    size_t n = (size_t)(w->p - w->start);
    record_is_open = false;
    if (w->failed || n - RECORD_HEADER_BYTES > UINT32_MAX) {
        if (!w->failed)
            PyErr_SetString(PyExc_OverflowError, "a value over 4 GiB cannot be recorded");
        free(w->heap);
        return -1;
    }
    uint32_t size = (uint32_t)(n - RECORD_HEADER_BYTES);
    memcpy(w->start + 8, &size, 4);
    record_count++;
    record_flags_next &= ~(unsigned)w->start[3];
    if (w->start[2] != KIND_NOTE && w->start[2] != KIND_CLOCK)
        allocations_from_here();
    if (attached && w->start != nowhere) {
        if (w->heap) {
            publish_heap(w, n);
        } else {
            head += n;
            atomic_store_explicit(&producer.header->head, head, memory_order_release);
            atomic_store_explicit(&producer.header->commit, head, memory_order_release);
        }
    }
    free(w->heap);
    return 0;
}
