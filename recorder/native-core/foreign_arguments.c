/* Reads the arguments of a call into the C library: what counts for its digest, and what comes back through them. */
#include "foreign_arguments.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <termios.h>
#include <time.h>

#define STATX_BYTES 256

uint64_t foreign_mix(uint64_t digest, uint64_t value)
{
    digest = (digest ^ value) * 0x9E3779B97F4A7C15ull;
    return digest ^ digest >> 29;
}

uint64_t foreign_mix_bytes(uint64_t digest, const void *data, size_t size)
{
    const char *p = data;
    uint64_t word;
    digest = foreign_mix(digest, size);
    for (; size >= 8; size -= 8, p += 8) {
        memcpy(&word, p, 8);
        digest = foreign_mix(digest, word);
    }
    word = 0;
    memcpy(&word, p, size);
    return size ? foreign_mix(digest, word) : digest;
}

static struct foreign_out *add(foreign_call *call, void *at, size_t size, int how)
{
    static struct foreign_out spare;
    if (!at || call->outs == FOREIGN_OUTS)
        return &spare;
    struct foreign_out *out = &call->out[call->outs++];
    *out = (struct foreign_out){at, size, (__typeof__(out->how))how, NULL};
    return out;
}

static void add_parts(foreign_call *call, const struct iovec *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(call, parts[i].iov_base, parts[i].iov_len, OUT_BY_RESULT);
}

static uint64_t mix_parts(uint64_t digest, const struct iovec *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        digest = foreign_mix_bytes(digest, parts[i].iov_base, parts[i].iov_len);
    return digest;
}

/* The lengths come after what they are lengths of: both are read before either is written. */
static void add_message(foreign_call *call, struct msghdr *message)
{
    add(call, message->msg_name, message->msg_namelen, OUT_SHORT)->length = &message->msg_namelen;
    add_parts(call, message->msg_iov, message->msg_iovlen);
    add(call, message->msg_control, message->msg_controllen, OUT_LONG)->length = &message->msg_controllen;
    add(call, &message->msg_namelen, sizeof message->msg_namelen, OUT_ALWAYS);
    add(call, &message->msg_controllen, sizeof message->msg_controllen, OUT_ALWAYS);
    add(call, &message->msg_flags, sizeof message->msg_flags, OUT_ALWAYS);
}

static size_t fixed_size(char letter)
{
    switch (letter) {
    case 't': return sizeof(struct timespec);
    case 'T': return sizeof(struct timeval);
    case 'S': return sizeof(struct stat);
    case 'x': return STATX_BYTES;
    case 'r': return sizeof(struct rusage);
    case 'U': return sizeof(struct utsname);
    case 'f': return sizeof(fd_set);
    case '8': case '2': return 8;
    case 'l': return sizeof(socklen_t);
    case 'k': return 4;
    case 'R': return sizeof(struct rlimit);
    case 'X': return sizeof(struct tms);
    case 'Y': return sizeof(struct sysinfo);
    case 'F': return sizeof(struct statfs);
    case 'V': return sizeof(struct statvfs);
    case 'c': return sizeof(struct termios);
    default: return 0;
    }
}

void foreign_read(foreign_call *call, unsigned function, const long *arguments)
{
    uint64_t digest = function + 1;
    call->function = function;
    call->outs = 0;
    const char *letters = foreign_descriptions[function].arguments;
    for (unsigned i = 0; letters[i]; i++) {
        void *at = (void *)arguments[i];
        size_t next = i + 1 < FOREIGN_ARGUMENTS ? (uint32_t)arguments[i + 1] : 0;
        switch (letters[i]) {
        case 'i': digest = foreign_mix(digest, (uint32_t)arguments[i]); break; /* an int's upper half is undefined */
        case 's': digest = at ? foreign_mix_bytes(digest, at, strlen(at)) : foreign_mix(digest, 0); break;
        case 'b': digest = at ? foreign_mix_bytes(digest, at, next) : foreign_mix(digest, 0); break;
        case 'w': digest = mix_parts(digest, at, next); break;
        case 'm': digest = mix_parts(digest, ((struct msghdr *)at)->msg_iov, ((struct msghdr *)at)->msg_iovlen); break;
        case 'p': break;
        case 'o': add(call, at, next, OUT_BY_RESULT); break;
        case 'n': add(call, at, next, OUT_ALWAYS); break;
        case 'd': add(call, at, next * sizeof(double), OUT_ALWAYS); break;
        case 'q': add(call, at, (uint32_t)arguments[i - 1], OUT_ALWAYS); break;
        case 'P': add(call, at, next * sizeof(struct pollfd), OUT_ALWAYS); break;
        case 'E': add(call, at, next * sizeof(struct epoll_event), OUT_EVENTS); break;
        case 'v': add_parts(call, at, next); break;
        case 'M': add_message(call, at); break;
        case 'a':
            if (at && arguments[i + 1])
                add(call, at, *(socklen_t *)arguments[i + 1], OUT_SHORT)->length = (void *)arguments[i + 1];
            break;
        default: add(call, at, fixed_size(letters[i]), OUT_ALWAYS); break;
        }
    }
    call->digest = (uint32_t)(digest ^ digest >> 32);
}

size_t foreign_filled(const foreign_call *call, unsigned index, long result, size_t *used)
{
    const struct foreign_out *out = &call->out[index];
    size_t n = out->size;
    if (result < 0 && (foreign_descriptions[call->function].flags & FOREIGN_INT || out->how == OUT_BY_RESULT))
        return 0;
    if (out->how == OUT_BY_RESULT) {
        n = (size_t)result - *used;
        n = n < out->size ? n : out->size;
        *used += n;
    } else if (out->how == OUT_EVENTS) {
        n = (size_t)result * sizeof(struct epoll_event);
    } else if (out->how == OUT_SHORT || out->how == OUT_LONG) {
        n = out->how == OUT_SHORT ? *(const socklen_t *)out->length : *(const size_t *)out->length;
    }
    return n < out->size ? n : out->size;
}
