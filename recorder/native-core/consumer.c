/* The drain's end of the ring, as the Python type `RingConsumer`. */
#include "core.h"
#include "ring.h"

#include <string.h>
#include <unistd.h>

typedef struct {
    PyObject_HEAD
    ring ring;
} RingConsumer;

static int consumer_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fd", NULL};
    RingConsumer *self = (RingConsumer *)op;
    int fd;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i", names, &fd))
        return -1;
    if (self->ring.header) {
        PyErr_SetString(PyExc_RuntimeError, "this consumer is attached already");
        return -1;
    }
    if (ring_map(&self->ring, fd) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    atomic_store(&self->ring.header->consumer_pid, (uint64_t)getpid());
    atomic_store(&self->ring.header->consumer_state, RING_DRAINING);
    return 0;
}

static void consumer_dealloc(PyObject *op)
{
    RingConsumer *self = (RingConsumer *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->ring.header)
        ring_unmap(&self->ring);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *consumer_take(PyObject *op, PyObject *arg)
{
    RingConsumer *self = (RingConsumer *)op;
    Py_ssize_t most = PyLong_AsSsize_t(arg);
    if (most == -1 && PyErr_Occurred())
        return NULL;
    uint64_t tail = atomic_load_explicit(&self->ring.header->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&self->ring.header->head, memory_order_acquire);
    uint64_t n = head - tail;
    if (most >= 0 && n > (uint64_t)most)
        n = (uint64_t)most;
    if (n > self->ring.size) {
        PyErr_SetString(PyExc_ValueError, "the ring's counters are damaged");
        return NULL;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(self->ring.data + (tail & (self->ring.size - 1)), (Py_ssize_t)n);
    if (bytes)
        atomic_store_explicit(&self->ring.header->tail, tail + n, memory_order_release);
    return bytes;
}

static PyObject *consumer_refuse(PyObject *op, PyObject *Py_UNUSED(none))
{
    atomic_store(&((RingConsumer *)op)->ring.header->consumer_state, RING_REFUSES);
    Py_RETURN_NONE;
}

#define COUNTER(name)                                                                               \
    static PyObject *get_##name(PyObject *op, void *Py_UNUSED(closure))                             \
    {                                                                                               \
        return PyLong_FromUnsignedLongLong(atomic_load(&((RingConsumer *)op)->ring.header->name));  \
    }
COUNTER(head)
COUNTER(commit)
COUNTER(tail)
COUNTER(producer_state)
COUNTER(exit_status)
COUNTER(replaced)

static PyMethodDef methods[] = {
    {"take", consumer_take, METH_O, "take(most) -> bytes: up to `most` bytes (-1: all), taken out of the ring."},
    {"refuse", consumer_refuse, METH_NOARGS, "Tell the producer to stop recording: nothing more can be stored."},
    {0},
};

static PyGetSetDef getset[] = {
    {"head", get_head, NULL, "bytes published so far", NULL},
    {"commit", get_commit, NULL, "bytes up to the end of the last complete record", NULL},
    {"tail", get_tail, NULL, "bytes taken so far", NULL},
    {"producer_state", get_producer_state, NULL, "0 not started, 1 recording, 2 closed, 3 gave up", NULL},
    {"exit_status", get_exit_status, NULL, "1 + the status with which the process said that it exits; 0: it did not", NULL},
    {"replaced", get_replaced, NULL, "not 0: the last that was seen of the process is that it called exec", NULL},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_init, consumer_init},
    {Py_tp_dealloc, consumer_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_doc, "RingConsumer(fd): the reading end of a ring in the memfd `fd`."},
    {0},
};

static PyType_Spec spec = {
    .name = "retroscope.recorder._core.RingConsumer",
    .basicsize = sizeof(RingConsumer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

int consumer_register(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    if (!type)
        return -1;
    int failed = PyModule_AddObjectRef(module, "RingConsumer", type);
    Py_DECREF(type);
    return failed;
}
