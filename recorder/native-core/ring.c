#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int ring_map(ring *r, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    ring_header *h = mmap(NULL, RING_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (h == MAP_FAILED)
        return -1;
    uint64_t size = h->data_size;
    if (memcmp(h->magic, RING_MAGIC, 8) || size < RING_HEADER_BYTES || (size & (size - 1)) ||
        (uint64_t)st.st_size < RING_HEADER_BYTES + size) {
        munmap(h, RING_HEADER_BYTES);
        errno = EINVAL;
        return -1;
    }
    char *data = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        munmap(h, RING_HEADER_BYTES);
        return -1;
    }
    for (int half = 0; half < 2; half++) {
        if (mmap(data + half * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 RING_HEADER_BYTES) == MAP_FAILED) {
            int error = errno;
            munmap(data, 2 * size);
            munmap(h, RING_HEADER_BYTES);
            errno = error;
            return -1;
        }
    }
    r->header = h;
    r->data = data;
    r->size = size;
    return 0;
}

/* The consumer holds its pid in the header; a zombie still answers kill(), but a launcher that died is
 * not our child, so its pid vanishes at once. */
static int consumer_is_gone(const ring_header *h)
{
    pid_t pid = (pid_t)atomic_load_explicit(&h->consumer_pid, memory_order_relaxed);
    return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

char *ring_reserve(ring *r, uint64_t head, uint64_t bytes)
{
    const struct timespec pause = {0, 200000};
    for (unsigned waits = 0;; waits++) {
        uint64_t tail = atomic_load_explicit(&r->header->tail, memory_order_acquire);
        if (r->size - (head - tail) >= bytes)
            return r->data + (head & (r->size - 1));
        if (atomic_load_explicit(&r->header->consumer_state, memory_order_acquire) == RING_REFUSES)
            return NULL;
        if (waits % 64 == 63 && consumer_is_gone(r->header))
            return NULL;
        nanosleep(&pause, NULL);
    }
}
