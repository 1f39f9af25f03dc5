#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel copies the table of descriptors up to the highest one at every fork: not too high. */
#define HIGHEST 16383

int channel_move_up(int fd)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return fd;
    if (limit.rlim_cur < 1024 && limit.rlim_max > limit.rlim_cur) {
        limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
        setrlimit(RLIMIT_NOFILE, &limit);  /* where it is refused, the old limit serves */
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    int highest = limit.rlim_cur > HIGHEST ? HIGHEST : (int)limit.rlim_cur - 1;
    for (int from = highest; from > 2 && from > highest - 64; from--) {
        int moved = fcntl(fd, F_DUPFD_CLOEXEC, from);
        if (moved >= 0) {
            close(fd);
            return moved;
        }
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

/* The first descriptor that came with a message, or -1; any further ones are closed. */
static int take_descriptor(struct msghdr *m)
{
    int taken = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (taken < 0)
                taken = fd;
            else
                close(fd);
        }
    }
    return taken;
}

ssize_t channel_receive(int fd, char *buffer, size_t size, int *passed)
{
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec vector = {.iov_base = buffer, .iov_len = size};
    struct msghdr m = {.msg_iov = &vector, .msg_iovlen = 1,
                       .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n;
    *passed = -1;
    do {
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 || m.msg_flags & MSG_TRUNC)
        return 0;
    *passed = take_descriptor(&m);
    return n;
}

bool channel_send(int fd, const void *head, size_t head_size, const void *body, size_t body_size,
                  const void *tail, size_t tail_size)
{
    struct iovec vectors[3] = {
        {.iov_base = (void *)(uintptr_t)head, .iov_len = head_size},
        {.iov_base = (void *)(uintptr_t)body, .iov_len = body_size},
        {.iov_base = (void *)(uintptr_t)tail, .iov_len = tail_size},
    };
    struct msghdr m = {.msg_iov = vectors, .msg_iovlen = 3};
    ssize_t n;
    do {
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n >= 0;
}

bool channel_is_over(int fd, unsigned quit)
{
    uint32_t op = 0;
    ssize_t n = recv(fd, &op, sizeof op, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n == (ssize_t)sizeof op && op == quit);
}
