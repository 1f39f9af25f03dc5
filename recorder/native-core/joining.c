#define _GNU_SOURCE
#include "joining.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* As retroscope.recorder.door reads it. */
typedef struct {
    uint32_t kind;
    int32_t number;      /* FORKING, STARTED: the parent's number in the trace; ENDED, SAW_START: a pid */
    uint64_t first, second;
} message;

enum { FORKING = 1, FORKED, ENDED, STARTED, SAW_START };

_Static_assert(sizeof(message) == 24, "as documented in Seam 1");

/* A connected socket, or -1. */
static int knock(const char *door)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strnlen(door, sizeof ((ring_header *)0)->door);
    if (!size)
        return -1;
    memcpy(address.sun_path + 1, door, size); /* the first byte is 0: abstract */
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size);
    while (connect(fd, (struct sockaddr *)&address, length) < 0) {
        if (errno == EINTR)
            continue;
        close(fd);
        return -1;
    }
    return fd;
}

static int say(int fd, const message *m)
{
    ssize_t n;
    do
        n = send(fd, m, sizeof *m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *m ? 0 : -1;
}

/* The descriptor in the answer, or -1. */
static int take_descriptor(int fd)
{
    char answer;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {&answer, 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *head = n == 1 ? CMSG_FIRSTHDR(&m) : NULL;
    if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
        return -1;
    int passed;
    memcpy(&passed, CMSG_DATA(head), sizeof passed);
    return passed;
}

joining_place joining_ask(const ring_header *parent, uint64_t bytes, uint64_t records)
{
    const message m = {FORKING, (int32_t)parent->process, bytes, records};
    joining_place place = {knock(parent->door), -1};
    if (place.connection >= 0 && say(place.connection, &m) == 0)
        place.ring = take_descriptor(place.connection);
    if (place.ring < 0)
        joining_leave(&place);
    return place;
}

/* The drain reads our pid from the credentials that the kernel adds. */
void joining_take(joining_place *place)
{
    const message m = {.kind = FORKED};
    if (place->connection < 0)
        return;
    say(place->connection, &m); /* if the drain is gone, the ring says so soon */
    close(place->connection);
    place->connection = -1;
}

void joining_leave(joining_place *place)
{
    if (place->connection >= 0)
        close(place->connection);
    if (place->ring >= 0)
        close(place->ring);
    *place = (joining_place){-1, -1};
}

int joining_start(const char *door, int number, const char *facts, size_t size)
{
    const message m = {.kind = STARTED, .number = number};
    struct iovec parts[] = {{(void *)&m, sizeof m}, {(void *)facts, size}};
    const struct msghdr whole = {.msg_iov = parts, .msg_iovlen = 2};
    int fd = knock(door);
    if (fd < 0)
        return -1;
    int ring = sendmsg(fd, &whole, MSG_NOSIGNAL) == (ssize_t)(sizeof m + size) ? take_descriptor(fd) : -1;
    close(fd);
    return ring;
}

static void tell(const ring_header *ours, const message *m)
{
    int saved = errno, fd = knock(ours->door);
    if (fd >= 0) {
        say(fd, m); /* if nobody listens any more, nobody wants to know */
        close(fd);
    }
    errno = saved;
}

void joining_saw_start(const ring_header *ours, int pid)
{
    const message m = {.kind = SAW_START, .number = pid};
    tell(ours, &m);
}

void joining_saw_end(const ring_header *ours, int pid, int status)
{
    const message m = {ENDED, pid, (uint64_t)(uint32_t)status, 0};
    tell(ours, &m);
}
