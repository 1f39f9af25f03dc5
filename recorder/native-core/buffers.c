/* The lock inside a buffered file: who comes while another thread is in one of its methods waits here, where the turn goes
 * on, and not in C with the turn. */
#include "buffers.h"
#include "control.h"
#include "errors.h"
#include "turn.h"
#include "waiting.h"

/* A thread is inside a method of a buffered file. Not on its stack: at the interpreter's end it may die there. */
typedef struct user {
    struct user *next;
    const PyObject *file; /* borrowed: the call has it */
    uint32_t thread;
} user;

static user *users;

static const user *first_user(const PyObject *file)
{
    const user *u = users;
    while (u && u->file != file)
        u = u->next;
    return u;
}

/* The same thread comes in again: the original knows what that means. */
static int try_enter(boundary_entry *Py_UNUSED(entry), const boundary_call *call)
{
    const user *there = first_user(call->self);
    if (there && there->thread != turn_thread())
        return 0;
    user *u = PyMem_RawMalloc(sizeof *u);
    if (!u) {
        PyErr_NoMemory();
        return -1;
    }
    *u = (user){users, call->self, turn_thread()};
    users = u;
    return 1;
}

/* No place for chaos: up to 3.12.4 TextIOWrapper.write loses what other threads write between its call of the buffered
 * file's and its next instruction, and CPython lets them in there only where the raw file waits. */
static void leave(const PyObject *file)
{
    for (user **at = &users; *at; at = &(*at)->next) {
        user *u = *at;
        if (u->file != file || u->thread != turn_thread())
            continue;
        *at = u->next;
        PyMem_RawFree(u);
        break;
    }
    if (!first_user(file))
        wait_is_over_inside(file);
}

PyObject *buffer_use(boundary_entry *entry, const boundary_call *call)
{
    if (!turn_is_shared || core_is_finalizing())
        return entry->original(entry, call);
    int done = try_enter(entry, call);
    if (done == 0) {
        const waiting w = {entry, call, call->self, -1};
        done = wait_until(&w, try_enter);
    }
    if (done < 0)
        return NULL;
    PyObject *result = entry->original(entry, call);
    PyObject *error = result ? NULL : error_take();
    leave(call->self);
    if (error)
        error_put_back(error);
    return result;
}

void buffers_forked(void)
{
    for (user **at = &users; *at;) {
        user *u = *at;
        if (u->thread == turn_thread()) {
            at = &u->next;
            continue;
        }
        *at = u->next;
        PyMem_RawFree(u);
    }
}
