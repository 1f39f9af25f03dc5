#define _GNU_SOURCE
/* Which descriptors are of regular files that an extension has opened. */
#include "foreign.h"

#include <errno.h>
#include <fcntl.h>

/* The mark on an open file, which its duplicates share: the signal for input that nobody has asked for. A number of
 * our own would say nothing when the descriptor was closed past us and is another file now. */
#define MARK 63

void foreign_make_local(int fd)
{
    fcntl(fd, F_SETSIG, MARK);
}

bool foreign_is_local(int fd)
{
    int saved = errno;
    bool marked = fcntl(fd, F_GETSIG) == MARK;
    errno = saved;
    return marked;
}
