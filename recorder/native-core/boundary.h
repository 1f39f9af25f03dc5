/* The boundary: callables whose results come from outside, replaced in place.
 *
 * A builtin function, a method or attribute of a C type is not wrapped: its own definition is exchanged
 * (PyMethodDef, PyGetSetDef, type slot), so every alias taken earlier is caught, and type, name, repr,
 * pickling and identity stay what they were. */
#ifndef RETROSCOPE_BOUNDARY_H
#define RETROSCOPE_BOUNDARY_H

#include "encode.h"

#include <stdbool.h>

enum boundary_policy {
    POLICY_RESULT,  /* outside only: recorded result or exception */
    POLICY_ALONE,   /* like RESULT, unwatched: it asks or changes how the interpreter runs frames */
    POLICY_OUTPUT,  /* like RESULT; the data argument is output when the descriptor is the program's (output.h) */
    POLICY_BUFFER,  /* like RESULT; fills argument `index` with as many bytes as the result says */
    POLICY_RERUN,   /* runs in replay too; the recorded outcome wins */
    POLICY_KEEP,    /* runs in replay too, and its result stands; where it raised at once, only the exception comes back */
    POLICY_ADAPT,   /* like RESULT, through the registry's own encode and decode functions */
    POLICY_SOURCE,  /* like ADAPT; the record is a SOURCE record */
    POLICY_THREAD,  /* threads.h: `index` says which operation */
    POLICY_FORK,    /* forks.h */
    POLICY_EXIT,    /* ends the process at once, with its argument as status: recorded before it runs */
    POLICY_HOOK,    /* no boundary: `when` is called, hidden, before it runs, `encode` after it has run, `decode` after it
                      raised */
    POLICY_THROUGH, /* no boundary itself: the method named `decode` of what the method `encode` of self returns, both of
                       them at the boundary */
};

/* Whether other threads may run while a call lasts. */
enum boundary_blocking {
    BLOCKS_NEVER,
    BLOCKS_ALWAYS,
    BLOCKS_READ, BLOCKS_WRITE,            /* unless the descriptor that is its first argument is ready */
    BLOCKS_SELF_READ, BLOCKS_SELF_WRITE,  /* unless the descriptor of self, a FileIO or socket, is ready */
    BLOCKS_NOT_SIGNALS,                   /* does not wait, but may send a signal to this process */
};

typedef struct boundary_entry boundary_entry;

#define BOUNDARY_CHANGES 3

typedef PyObject *(*boundary_original)(boundary_entry *, const boundary_call *);

struct boundary_entry {
    PyMethodDef def;             /* what the patched callable now points to */
    boundary_original original;  /* runs what was there before */
    union {
        PyMethodDef *method;
        PyGetSetDef *getset;
        PyObject *function;      /* owned */
        initproc init;
        newfunc new_;
        unaryfunc unary;
        lenfunc length;
        binaryfunc subscript;
        objobjargproc assign;
        richcmpfunc compare;
        hashfunc hash;
    } was;
    PyGetSetDef getset;
    PyTypeObject *type;          /* the C type it belongs to, or NULL */
    PyObject *name;              /* dotted; owned */
    PyObject *encode, *decode;   /* ADAPT, SOURCE, HOOK, THROUGH; owned */
    PyObject *when;              /* (self, args, kwargs) -> does this call cross? NULL: always; owned */
    PyObject *wrap;              /* (call, self, args, kwargs): stands for the call when it is due; owned */
    PyObject *rewrite;           /* (self, args, kwargs) -> what the original gets instead, recording; owned */
    PyMemberDef *member;         /* wrap is due when this member of self is not None; NULL: when argument `index` is; index -1: always */
    PyMemberDef *changes[BOUNDARY_CHANGES]; /* members of self that a call may change: objects and longs */
    Py_ssize_t index;            /* BUFFER: the buffer argument; OUTPUT: the data argument; wrap: see above;
                                  * RESULT: 1 + the argument whose value does not count, 0: none */
    Py_ssize_t descriptor;       /* OUTPUT: argument that is the descriptor, -1: self is a FileIO */
    enum boundary_policy policy;
    enum boundary_blocking blocking;
    bool asks;                   /* it does not wait, but tells what other processes have done */
    bool is_python;              /* the original is a Python function of CPython's own */
    unsigned id;
};

/* One call of a patched callable, in whatever mode the process is. */
PyObject *boundary_dispatch(boundary_entry *entry, const boundary_call *call);

/* The digest of its arguments (digest.h), without what does not count. */
uint32_t boundary_digest(const boundary_entry *entry, const boundary_call *call);

/* The two sides of dispatch. */
PyObject *record_call(boundary_entry *entry, const boundary_call *call);
/* What came of a call that was recorded otherwise: `result`, or NULL with an exception, which stays set. */
void record_outcome(boundary_entry *entry, const boundary_call *call, PyObject *result, uint32_t digest);
PyObject *replay_call(boundary_entry *entry, const boundary_call *call);

/* A DEFINE record is due: `entry` must be what it names. */
int replay_definition(boundary_entry *entry);

/* The arguments of a call as CPython's older conventions want them: a new tuple, and a new dict or NULL for none. NULL
 * with an exception set: no memory. */
PyObject *boundary_args(const boundary_call *call);
PyObject *boundary_kwargs(const boundary_call *call);

/* The argument at this place or of this name, borrowed; NULL: it was not given. */
PyObject *boundary_argument(const boundary_call *call, Py_ssize_t index, const char *name);

/* The entry of the nearest base of `type` whose slot, called by `original`, is at the boundary. There must be one. */
boundary_entry *boundary_of_slot(PyTypeObject *type, boundary_original original);

/* Calls `adapter` hidden with (value, self, args tuple, kwargs dict or None); a NULL value is left out. */
PyObject *boundary_adapt(PyObject *adapter, PyObject *value, const boundary_call *call);

/* Tells the stream (recording) or checks against it (replay) that `entry` has its index. */
int boundary_define(boundary_entry *entry);

/* A callable that is no Python object: told to the stream like the others. Borrows nothing: owns `name`. NULL with an
 * exception set. */
boundary_entry *boundary_foreign(PyObject *name);

/* Is `def` that of a callable at the boundary? */
bool boundary_has(const PyMethodDef *def);

/* Name of the callable with this index, borrowed, or NULL. */
PyObject *boundary_name(unsigned id);

#endif
