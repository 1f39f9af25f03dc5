/* Locks of every kind in terms of the turn: `_thread.lock`, `_thread.RLock`, `_queue.SimpleQueue`, the import lock. */
#include "control.h"
#include "locks.h"
#include "turn.h"
#include "waiting.h"

#include <string.h>

/* What acquire() of both kinds of locks does; `attempt` takes the lock at once or not. */
static inline PyObject *acquire(boundary_entry *entry, const boundary_call *call, wait_attempt attempt)
{
    bool blocking;
    double timeout;
    if (wait_arguments(call, false, &blocking, &timeout))
        return entry->original(entry, call);
    int done = attempt(entry, call);
    if (done == 0 && blocking && timeout != 0) {
        const waiting w = {entry, call, call->self, timeout};
        done = wait_until(&w, attempt);
    } else if (done == 1)
        wait_was_none();
    return done < 0 ? NULL : PyBool_FromLong(done);
}

/* --- _thread.lock --------------------------------------------------------------------------------------- */

/* As CPython lays it out, in 3.11 to 3.13. */
typedef struct {
    PyObject_HEAD
    PyThread_type_lock lock;
    PyObject *weak_references;
    char is_locked;
} plain_lock;

/* acquire(False), without the cost of calling the original. */
static int try_lock(boundary_entry *Py_UNUSED(entry), const boundary_call *call)
{
    plain_lock *l = (plain_lock *)call->self;
    if (PyThread_acquire_lock(l->lock, 0) != PY_LOCK_ACQUIRED)
        return 0;
    l->is_locked = 1;
    return 1;
}

PyObject *lock_acquire(boundary_entry *entry, const boundary_call *call)
{
    return acquire(entry, call, try_lock);
}

PyObject *lock_release(boundary_entry *entry, const boundary_call *call)
{
    plain_lock *l = (plain_lock *)call->self;
    if (!l->is_locked)
        return entry->original(entry, call); /* which says so */
    l->is_locked = 0;
    PyThread_release_lock(l->lock);
    wait_is_over(l);
    Py_RETURN_NONE;
}

/* --- _thread.RLock: it compares idents, which all contexts of a replay share ------------------------------ */

typedef struct {
    PyObject_HEAD
    PyThread_type_lock lock;
    unsigned long owner;
    unsigned long count;
} rlock;

static bool owned(const rlock *l)
{
    return l->count > 0 && l->owner == thread_ident();
}

static int try_rlock(boundary_entry *Py_UNUSED(entry), const boundary_call *call)
{
    rlock *l = (rlock *)call->self;
    if (owned(l)) {
        l->count++;
        return 1;
    }
    if (PyThread_acquire_lock(l->lock, 0) != PY_LOCK_ACQUIRED)
        return 0;
    l->owner = thread_ident();
    l->count = 1;
    return 1;
}

PyObject *rlock_acquire(boundary_entry *entry, const boundary_call *call)
{
    return acquire(entry, call, try_rlock);
}

static void free_rlock(rlock *l)
{
    l->owner = 0;
    l->count = 0;
    PyThread_release_lock(l->lock);
    wait_is_over(l);
}

PyObject *rlock_release(const boundary_call *call)
{
    rlock *l = (rlock *)call->self;
    if (!owned(l)) {
        PyErr_SetString(PyExc_RuntimeError, "cannot release un-acquired lock");
        return NULL;
    }
    if (l->count > 1)
        l->count--;
    else
        free_rlock(l);
    Py_RETURN_NONE;
}

PyObject *rlock_is_owned(const boundary_call *call)
{
    return PyBool_FromLong(owned((rlock *)call->self));
}

PyObject *rlock_count(const boundary_call *call)
{
    rlock *l = (rlock *)call->self;
    return PyLong_FromUnsignedLong(owned(l) ? l->count : 0);
}

PyObject *rlock_release_save(const boundary_call *call)
{
    rlock *l = (rlock *)call->self;
    if (l->count == 0) {
        PyErr_SetString(PyExc_RuntimeError, "cannot release un-acquired lock");
        return NULL;
    }
    PyObject *state = Py_BuildValue("kk", l->count, l->owner);
    if (state)
        free_rlock(l);
    return state;
}

PyObject *rlock_acquire_restore(boundary_entry *entry, const boundary_call *call)
{
    unsigned long count, owner;
    rlock *l = (rlock *)call->self;
    if (call->nargs != 1 || !PyTuple_Check(call->args[0]) || !PyArg_ParseTuple(call->args[0], "kk:_acquire_restore", &count, &owner))
        return PyErr_Occurred() ? NULL : entry->original(entry, call);
    int done = try_rlock(entry, call);
    if (done == 0) {
        const waiting w = {entry, call, call->self, -1};
        done = wait_until(&w, try_rlock);
    }
    if (done < 0)
        return NULL;
    l->owner = owner;
    l->count = count;
    Py_RETURN_NONE;
}

/* --- _queue.SimpleQueue ------------------------------------------------------------------------------------ */

/* Keeps what the attempt got, or the queue's own Empty when it got nothing. */
static PyObject *got;

static int try_get(boundary_entry *entry, const boundary_call *call)
{
    PyObject *no[] = {Py_False};
    const boundary_call trial = {call->self, no, 1, NULL};
    got = entry->original(entry, &trial);
    if (got)
        return 1;
    if (!PyErr_ExceptionMatches(PyExc_Exception) || strcmp(Py_TYPE(call->self)->tp_name, "_queue.SimpleQueue") != 0)
        return -1;
    PyErr_Clear();
    return 0;
}

PyObject *queue_get(boundary_entry *entry, const boundary_call *call)
{
    bool blocking;
    double timeout;
    if (wait_arguments(call, true, &blocking, &timeout))
        return entry->original(entry, call);
    int done = try_get(entry, call);
    if (done == 0 && blocking && timeout != 0) {
        const waiting w = {entry, call, call->self, timeout};
        done = wait_until(&w, try_get);
    }
    if (done == 0) { /* let the queue say Empty itself */
        PyObject *no[] = {Py_False};
        const boundary_call trial = {call->self, no, 1, NULL};
        return entry->original(entry, &trial);
    }
    PyObject *result = got;
    got = NULL;
    return done < 0 ? NULL : result;
}

PyObject *queue_put(boundary_entry *entry, const boundary_call *call)
{
    PyObject *result = entry->original(entry, call);
    if (result)
        wait_is_over(call->self);
    return result;
}

/* --- the import lock: a C lock of the interpreter, here one of our own ------------------------------------- */

static struct {
    uint32_t owner;
    unsigned long count;
} import_lock;

static int try_import_lock(boundary_entry *Py_UNUSED(entry), const boundary_call *Py_UNUSED(call))
{
    uint32_t me = turn_thread();
    if (import_lock.count && import_lock.owner != me)
        return 0;
    import_lock.owner = me;
    import_lock.count++;
    return 1;
}

/* CPython holds the lock around a fork: no other thread can have it in the child. */
void import_forked(void)
{
    if (import_lock.owner != turn_thread())
        import_lock.count = 0;
}

PyObject *import_acquire(boundary_entry *entry, const boundary_call *call)
{
    int done = try_import_lock(entry, call);
    if (done == 0) {
        const waiting w = {entry, call, &import_lock, -1};
        done = wait_until(&w, try_import_lock);
    }
    return done < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *import_release(void)
{
    if (!import_lock.count || import_lock.owner != turn_thread()) {
        PyErr_SetString(PyExc_RuntimeError, "not holding the import lock");
        return NULL;
    }
    if (--import_lock.count == 0)
        wait_is_over(&import_lock);
    Py_RETURN_NONE;
}

PyObject *import_held(void)
{
    return PyBool_FromLong(import_lock.count > 0);
}
