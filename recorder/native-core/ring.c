#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The state letter of a process, and when it started, from /proc/PID/stat: 0 when there is no such process. */
static char process_state(pid_t pid, uint64_t *started)
{
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    char *after_name = strrchr(text, ')'), letter = 0;
    unsigned long long when = 0;
    if (after_name)
        sscanf(after_name + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &letter,
               &when);
    *started = when;
    return letter;
}

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
    process_state((pid_t)atomic_load(&h->consumer_pid), &r->consumer_started);
    r->header = h;
    r->data = data;
    r->size = size;
    return 0;
}

void ring_unmap(ring *r)
{
    munmap(r->data, 2 * r->size);
    munmap(r->header, RING_HEADER_BYTES);
    *r = (ring){0};
}

/* A consumer that was killed stays as a zombie until its parent looks; its number may be another process's later. */
bool ring_consumer_is_gone(const ring *r)
{
    pid_t pid = (pid_t)atomic_load_explicit(&r->header->consumer_pid, memory_order_relaxed);
    uint64_t started;
    if (pid <= 0)
        return false;
    char state = process_state(pid, &started);
    if (state == 0)
        return kill(pid, 0) < 0 && errno == ESRCH; /* without /proc this must do */
    return state == 'Z' || state == 'X' || (r->consumer_started && started != r->consumer_started);
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
        if (waits % 64 == 63 && ring_consumer_is_gone(r))
            return NULL;
        nanosleep(&pause, NULL);
    }
}
