#include "boundary.h"
#include "frames.h"
#include "errors.h"
#include "forks.h"
#include "hidden.h"
#include "signals.h"
#include "patching.h"
#include "threads.h"
#include "trampolines.h"
#include "turn.h"

#include <stdbool.h>
#include <string.h>
#include <structmember.h>

static boundary_entry *entries[TRAMPOLINES + 1]; /* index 0 is the recorder itself */
static unsigned used = 1;

PyObject *trampoline_land(unsigned index, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    const boundary_call call = {self, args, nargs, kwnames};
    return boundary_dispatch(entries[index], &call);
}

static PyObject *cross(boundary_entry *entry, const boundary_call *call)
{
    if (signals_before_call(entry, call) < 0)
        return NULL;
    PyObject *result = core_mode != MODE_RECORD        ? replay_call(entry, call)
                       : entry->policy == POLICY_FORK ? forks_record(entry, call)
                                                      : record_call(entry, call);
    if (signals_after_call(entry, call, result) < 0)
        Py_CLEAR(result);
    return result;
}

/* --- what may stand between a call and the crossing ---------------------------------------------- */

static bool wrap_is_due(const boundary_entry *entry, const boundary_call *call)
{
    if (entry->member) {
        PyObject *value = *(PyObject **)((char *)call->self + entry->member->offset);
        return value && value != Py_None;
    }
    if (entry->index < 0)
        return true;
    if (call->nargs > entry->index)
        return call->args[entry->index] != Py_None;
    return call->kwnames && PyTuple_GET_SIZE(call->kwnames) > 0;
}

/* What a wrap function calls to cross after all: (self, *args, **kwargs). */
static PyObject *cross_from_wrap(PyObject *capsule, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    boundary_entry *entry = PyCapsule_GetPointer(capsule, NULL);
    if (!entry || nargs < 1)
        return PyErr_Format(PyExc_TypeError, "self is missing");
    const boundary_call call = {args[0], args + 1, nargs - 1, kwnames};
    hidden_state state;
    hidden_pause(&state);
    PyObject *result = cross(entry, &call);
    hidden_resume(&state);
    return result;
}

static PyMethodDef cross_definition = {"call", (PyCFunction)(void (*)(void))cross_from_wrap,
                                       METH_FASTCALL | METH_KEYWORDS, NULL};

static PyObject *call_wrap(boundary_entry *entry, const boundary_call *call)
{
    PyObject *capsule = PyCapsule_New(entry, NULL, NULL);
    PyObject *crossing = capsule ? PyCFunction_New(&cross_definition, capsule) : NULL;
    PyObject *result = crossing ? boundary_adapt(entry->wrap, crossing, call) : NULL;
    if (!result)
        hidden_clean_traceback();
    Py_XDECREF(crossing);
    Py_XDECREF(capsule);
    return result;
}

static PyObject *call_hook(boundary_entry *entry, const boundary_call *call)
{
    PyObject *result = entry->original(entry, call);
    PyObject *error = result ? NULL : error_take();
    PyObject *done = result        ? boundary_adapt(entry->encode, result, call)
                     : entry->decode ? boundary_adapt(entry->decode, error, call)
                                     : Py_NewRef(Py_None);
    if (!done)
        Py_CLEAR(result);
    else if (error)
        error_put_back(Py_NewRef(error));
    Py_XDECREF(error);
    Py_XDECREF(done);
    return result;
}

static PyObject *call_through(boundary_entry *entry, const boundary_call *call)
{
    Py_ssize_t n = 1 + call->nargs + (call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0);
    PyObject *small[8], **args = n <= 8 ? small : PyMem_Malloc((size_t)n * sizeof *args);
    if (!args)
        return PyErr_NoMemory();
    args[0] = PyObject_Vectorcall(entry->encode, &call->self, 1, NULL);
    memcpy(args + 1, call->args, (size_t)(n - 1) * sizeof *args);
    PyObject *result =
        args[0] ? PyObject_VectorcallMethod(entry->decode, args, (size_t)call->nargs + 1, call->kwnames) : NULL;
    Py_XDECREF(args[0]);
    if (args != small)
        PyMem_Free(args);
    return result;
}

#if PY_VERSION_HEX < 0x030C0000
/* In 3.11 the instructions that are made for calls of builtins with the flags that ours have leave out the check of the
 * recursion depth. The generic call, which replay takes because it traces, does not, nor does plain Python where a
 * builtin takes one argument or none. At the limit it is made up for. */
static int check_depth(void)
{
    const frame *f;
    if (core_mode != MODE_RECORD || PyThreadState_Get()->recursion_remaining > 0 || !(f = frames_current()) ||
        !frames_calls_unchecked(f))
        return 0;
    if (Py_EnterRecursiveCall(" while calling a Python object"))
        return -1;
    Py_LeaveRecursiveCall();
    return 0;
}
#else
static int check_depth(void)
{
    return 0;
}
#endif

PyObject *boundary_dispatch(boundary_entry *entry, const boundary_call *call)
{
    if (core_mode == MODE_OFF || core_hidden || core_is_elsewhere())
        return entry->original(entry, call);
    if (core_mode == MODE_RECORD && turn_is_foreign())
        return entry->original(entry, call);
    if (check_depth() < 0)
        return NULL;
    if (entry->when) {
        PyObject *answer = boundary_adapt(entry->when, NULL, call);
        int crosses = answer ? PyObject_IsTrue(answer) : -1;
        Py_XDECREF(answer);
        if (crosses < 0)
            return NULL;
        if (!crosses)
            return entry->original(entry, call);
    }
    if (entry->policy == POLICY_HOOK)
        return call_hook(entry, call);
    if (entry->policy == POLICY_THROUGH)
        return call_through(entry, call);
    if (entry->policy == POLICY_THREAD)
        return threads_call(entry, call);
    if (entry->wrap && wrap_is_due(entry, call))
        return call_wrap(entry, call);
    return cross(entry, call);
}

bool boundary_has(const PyMethodDef *def)
{
    for (unsigned i = 1; i < used; i++)
        if (&entries[i]->def == def)
            return true;
    return false;
}

PyObject *boundary_name(unsigned id)
{
    return id && id < used ? entries[id]->name : NULL;
}

/* --- the arguments of a call, for Python code -------------------------------------------------- */

PyObject *boundary_args(const boundary_call *call)
{
    PyObject *tuple = PyTuple_New(call->nargs);
    for (Py_ssize_t i = 0; tuple && i < call->nargs; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(call->args[i]));
    return tuple;
}

/* NULL without an exception when there are no keywords. */
PyObject *boundary_kwargs(const boundary_call *call)
{
    Py_ssize_t n = call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0;
    PyObject *dict = n ? PyDict_New() : NULL;
    for (Py_ssize_t i = 0; dict && i < n; i++)
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(call->kwnames, i), call->args[call->nargs + i]) < 0)
            Py_CLEAR(dict);
    return dict;
}

PyObject *boundary_argument(const boundary_call *call, Py_ssize_t index, const char *name)
{
    if (call->nargs > index)
        return call->args[index];
    Py_ssize_t n = call->kwnames ? PyTuple_GET_SIZE(call->kwnames) : 0;
    for (Py_ssize_t i = 0; i < n; i++)
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(call->kwnames, i), name) == 0)
            return call->args[call->nargs + i];
    return NULL;
}

PyObject *boundary_adapt(PyObject *adapter, PyObject *value, const boundary_call *call)
{
    core_hide();
    PyObject *args = boundary_args(call);
    PyObject *kwargs = args ? boundary_kwargs(call) : NULL;
    PyObject *result = NULL;
    if (args && !PyErr_Occurred()) {
        PyObject *all[] = {value, call->self ? call->self : Py_None, args, kwargs ? kwargs : Py_None};
        result = value ? PyObject_Vectorcall(adapter, all, 4, NULL) : PyObject_Vectorcall(adapter, all + 1, 3, NULL);
    }
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    core_show();
    return result;
}

boundary_entry *boundary_of_slot(PyTypeObject *type, boundary_original original)
{
    for (; type; type = type->tp_base)
        for (unsigned i = 1; i < used; i++)
            if (entries[i]->type == type && entries[i]->original == original)
                return entries[i];
    Py_FatalError("retroscope: a patched slot without an entry");
}

/* --- for Python -------------------------------------------------------------------------------- */

static PyObject *patch(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"target", "owner", "attribute", "name", "policy", "index", "descriptor",
                            "encode", "decode", "when", "wrap", "member", "blocking", "changes", "rewrite", "asks", NULL};
    PyObject *target, *owner, *name, *encode = NULL, *decode = NULL, *when = NULL, *wrap = NULL, *member = NULL,
             *changes = NULL, *rewrite = NULL;
    const char *attribute;
    int policy, blocking = BLOCKS_NEVER, asks = 0;
    Py_ssize_t index = 0, descriptor = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOsUi|nnOOOOO!iO!Op", names, &target, &owner, &attribute, &name, &policy,
                                     &index, &descriptor, &encode, &decode, &when, &wrap, &PyMemberDescr_Type, &member, &blocking, &PyTuple_Type, &changes, &rewrite, &asks))
        return NULL;
    if (used > TRAMPOLINES - 1)
        return PyErr_Format(PyExc_RuntimeError, "more than %d callables at the boundary", TRAMPOLINES);
    boundary_entry *entry = PyMem_Calloc(1, sizeof *entry);
    if (!entry)
        return PyErr_NoMemory();
    entry->id = used;
    entry->name = Py_NewRef(name);
    entry->policy = (enum boundary_policy)policy;
    entry->blocking = (enum boundary_blocking)blocking;
    entry->asks = asks;
    entry->index = index;
    entry->descriptor = descriptor;
    entry->encode = Py_XNewRef(encode);
    entry->decode = Py_XNewRef(decode);
    entry->when = Py_XNewRef(when);
    entry->wrap = Py_XNewRef(wrap);
    entry->rewrite = Py_XNewRef(rewrite);
    entry->member = member ? ((PyMemberDescrObject *)member)->d_member : NULL;
    for (Py_ssize_t i = 0; changes && i < PyTuple_GET_SIZE(changes) && i < BOUNDARY_CHANGES; i++)
        entry->changes[i] = ((PyMemberDescrObject *)PyTuple_GET_ITEM(changes, i))->d_member;
    entries[used++] = entry; /* the slot functions look it up from now on */
    if (patching_exchange(entry, target, owner, attribute) < 0) {
        used--;
        Py_DECREF(name);
        Py_XDECREF(encode);
        Py_XDECREF(decode);
        Py_XDECREF(when);
        Py_XDECREF(wrap);
        Py_XDECREF(rewrite);
        PyMem_Free(entry);
        return NULL;
    }
    if (boundary_define(entry) < 0)
        return NULL;
    return PyLong_FromUnsignedLong(entry->id);
}

boundary_entry *boundary_foreign(PyObject *name)
{
    boundary_entry *entry = used < TRAMPOLINES ? PyMem_Calloc(1, sizeof *entry) : NULL;
    if (!entry) {
        Py_DECREF(name);
        PyErr_Format(PyExc_RuntimeError, "more than %d callables at the boundary", TRAMPOLINES);
        return NULL;
    }
    entry->id = used;
    entry->name = name;
    entry->policy = POLICY_RESULT;
    entries[used++] = entry;
    return boundary_define(entry) < 0 ? NULL : entry;
}

static PyMethodDef functions[] = {
    {"patch", (PyCFunction)(void (*)(void))patch, METH_VARARGS | METH_KEYWORDS,
     "patch(target, owner, attribute, name, policy, index=0, descriptor=0, encode, decode, when, wrap, member,\n"
     "blocking=0, changes, rewrite, asks=False) -> int\n"
     "Puts a callable or attribute behind the boundary, in place; returns its index in the stream."},
    {0},
};

int boundary_register(PyObject *module)
{
    static const struct { const char *name; int value; } policies[] = {
        {"RESULT", POLICY_RESULT}, {"ALONE", POLICY_ALONE}, {"OUTPUT", POLICY_OUTPUT}, {"BUFFER", POLICY_BUFFER}, {"RERUN", POLICY_RERUN}, {"KEEP", POLICY_KEEP},
        {"ADAPT", POLICY_ADAPT}, {"SOURCE", POLICY_SOURCE}, {"HOOK", POLICY_HOOK}, {"THROUGH", POLICY_THROUGH}, {"THREAD", POLICY_THREAD}, {"FORK", POLICY_FORK}, {"EXIT", POLICY_EXIT},
        {"BLOCKS_ALWAYS", BLOCKS_ALWAYS}, {"BLOCKS_READ", BLOCKS_READ}, {"BLOCKS_WRITE", BLOCKS_WRITE},
        {"BLOCKS_SELF_READ", BLOCKS_SELF_READ}, {"BLOCKS_SELF_WRITE", BLOCKS_SELF_WRITE},
        {"BLOCKS_NOT_SIGNALS", BLOCKS_NOT_SIGNALS},
    };
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
        if (PyModule_AddIntConstant(module, policies[i].name, policies[i].value) < 0)
            return -1;
    return PyModule_AddFunctions(module, functions);
}
