/* Calls that may wait: other threads have the turn meanwhile. */
#include "errors.h"
#include "threads.h"
#include "turn.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/stat.h>

#define FITS 4096 /* bytes that a pipe, socket or terminal takes at once where poll() says that it takes some */

/* A pipe that has room for a little keeps the writer of much until somebody reads: another thread, perhaps. */
static bool writes_much(const boundary_entry *entry, const boundary_call *call, int fd)
{
    Py_ssize_t index = entry->blocking == BLOCKS_SELF_WRITE ? 0 : 1;
    struct stat about;
    Py_buffer data;
    if (index >= call->nargs || PyObject_GetBuffer(call->args[index], &data, PyBUF_SIMPLE) < 0) {
        PyErr_Clear(); /* the original will complain */
        return false;
    }
    Py_ssize_t size = data.len;
    PyBuffer_Release(&data);
    return size > FITS && fstat(fd, &about) == 0 && !S_ISREG(about.st_mode) && !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

/* A descriptor that is ready will not block: the turn need not change hands for it. */
static bool may_block(const boundary_entry *entry, const boundary_call *call)
{
    if (entry->blocking == BLOCKS_ALWAYS || entry->blocking == BLOCKS_NOT_SIGNALS)
        return entry->blocking == BLOCKS_ALWAYS;
    int fd = -1;
    if (entry->blocking == BLOCKS_SELF_READ || entry->blocking == BLOCKS_SELF_WRITE)
        fd = *(int *)((char *)call->self + sizeof(PyObject)); /* FileIO and socket begin with it */
    else if (call->nargs > 0 && PyLong_CheckExact(call->args[0]))
        fd = (int)PyLong_AsLong(call->args[0]);
    bool reads = entry->blocking == BLOCKS_SELF_READ || entry->blocking == BLOCKS_READ;
    struct pollfd asked = {fd, reads ? POLLIN : POLLOUT, 0};
    return fd >= 0 && (poll(&asked, 1, 0) == 0 || (!reads && writes_much(entry, call, fd)));
}

static __thread bool without_turn; /* this thread is inside a call that blocks */

bool threads_without_turn(void)
{
    return without_turn;
}

void threads_give_turn(void)
{
    turn_give();
    without_turn = true;
}

void threads_take_turn(void)
{
    turn_take();
    without_turn = false;
}

PyObject *threads_call_blocking(boundary_entry *entry, const boundary_call *call)
{
    if (!turn_is_shared || !may_block(entry, call) || core_is_finalizing())
        return entry->original(entry, call);
    threads_give_turn();
    PyObject *result = entry->original(entry, call);
    PyObject *error = result ? NULL : error_take();
    threads_take_turn();
    if (error)
        error_put_back(error);
    return result;
}
