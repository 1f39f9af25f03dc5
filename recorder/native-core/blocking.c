/* Calls that may wait: other threads have the turn meanwhile. */
#include "errors.h"
#include "threads.h"
#include "turn.h"

#include <poll.h>
#include <stdbool.h>

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
    return fd >= 0 && poll(&asked, 1, 0) == 0;
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
