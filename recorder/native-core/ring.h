/* The ring: one producer (the recorded program, under its turn), one consumer (the drain).
 *
 * A memfd of one header page and `data_size` bytes (a power of two), the data mapped twice in a row so
 * that every span of up to data_size bytes is contiguous.  The counters only grow.
 * Layout of the header: docs/architecture.md, "Seam 1".
 */
#ifndef RETROSCOPE_RING_H
#define RETROSCOPE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_HEADER_BYTES 4096
#define RING_MAGIC "RSCPRNG1"

enum ring_producer_state { RING_NOT_STARTED, RING_RECORDING, RING_CLOSED, RING_GAVE_UP };
enum ring_consumer_state { RING_ABSENT, RING_DRAINING, RING_REFUSES };

typedef struct {
    char magic[8];
    uint64_t data_size;
    char pad0[48];
    _Atomic uint64_t head;            /* 64: bytes published */
    _Atomic uint64_t commit;          /* 72: end of the last complete record */
    _Atomic uint64_t producer_state;  /* 80 */
    _Atomic uint64_t exit_status;     /* 88: 1 + the status with which the process is about to exit; 0: not known */
    _Atomic uint64_t replaced;        /* 96: not 0 while the process calls exec */
    char pad1[24];
    _Atomic uint64_t tail;            /* 128: bytes taken */
    _Atomic uint64_t consumer_state;  /* 136 */
    _Atomic uint64_t consumer_pid;    /* 144 */
    uint64_t process;                 /* 152: number of the process in the trace */
    char pad2[864];
    char door[64];                    /* 1024: where further processes ask for a ring (joining.h); empty: nowhere */
} ring_header;

_Static_assert(offsetof(ring_header, door) == 1024, "as documented in Seam 1");

typedef struct {
    ring_header *header;
    char *data;          /* 2 * size bytes of address space */
    uint64_t size;
    uint64_t consumer_started; /* by the system's clock ticks; 0: not known */
} ring;

/* Maps the ring behind `fd`; the descriptor may be closed afterwards. 0, or -1 with errno set. */
int ring_map(ring *r, int fd);

/* The end of the mapping: the ring is another process's. */
void ring_unmap(ring *r);

/* Waits until `bytes` (at most size/2) can be written after `head`; returns where, or NULL when the
 * consumer is gone or refuses: recording is over then. */
char *ring_reserve(ring *r, uint64_t head, uint64_t bytes);

/* Is the process dead that takes the bytes? */
bool ring_consumer_is_gone(const ring *r);

#endif
