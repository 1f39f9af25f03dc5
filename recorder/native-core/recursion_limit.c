#define Py_BUILD_CORE 1
#include "recursion_limit.h"

#if PY_VERSION_HEX < 0x030C0000

#include "boundary.h"
#include "code_cache.h"
#include "count.h"
#include "frames.h"
#include "tracer.h"

#include <internal/pycore_frame.h>
#include <internal/pycore_pystate.h>
#include <internal/pycore_opcode.h> /* the tables are in frames.c */
#include <opcode.h>
#include <stdbool.h>

#define CACHES_OF_COMPARE_OP 2
#define CACHES_OF_PRECALL 1
#define CACHES_OF_CALL 4

#define NEAR 20 /* so many calls from the limit it begins to matter */

enum lent_for { INSTRUCTION, ENTRY };

/* Room for one call more: while an instruction of `f` runs, or from the entry of `f` until it is left. */
static struct loan {
    PyThreadState *thread;
    const frame *f;
    enum lent_for why;
} *lent;
static unsigned most;
unsigned recursion_limit_lent;
static unsigned lent_near[256]; /* how many are of frames whose addresses end alike: most frames have none */

static unsigned *near(const frame *f)
{
    return &lent_near[(uintptr_t)f / sizeof(void *) % (sizeof lent_near / sizeof *lent_near)];
}

static void lend(PyThreadState *thread, const frame *f, enum lent_for why)
{
    if (recursion_limit_lent == most) {
        most = most ? most * 2 : 64;
        lent = PyMem_RawRealloc(lent, most * sizeof *lent);
        if (!lent)
            Py_FatalError("retroscope: no memory for what is known of the recursion limit");
    }
    lent[recursion_limit_lent++] = (struct loan){thread, f, why};
    (*near(f))++;
    thread->recursion_remaining++;
}

/* The last ones are looked at first: it is one of these but for greenlets, whose frames are left in any order. */
static struct loan *find(const PyThreadState *thread, const frame *f, enum lent_for why)
{
    for (unsigned i = *near(f) ? recursion_limit_lent : 0; i-- > 0;) {
        if (lent[i].f == f && lent[i].thread == thread && lent[i].why == why)
            return &lent[i];
    }
    return NULL;
}

static void take_back(PyThreadState *thread, const frame *f, enum lent_for why)
{
    struct loan *found = find(thread, f, why);
    if (!found)
        return;
    thread->recursion_remaining--;
    (*near(f))--;
    memmove(found, found + 1, (size_t)(lent + recursion_limit_lent - (found + 1)) * sizeof *found);
    recursion_limit_lent--;
}

static int opcode_of(const _Py_CODEUNIT *at)
{
    return _PyOpcode_Deopt[_Py_OPCODE(*at)];
}

static bool is_conditional_jump(int opcode)
{
    return opcode == POP_JUMP_FORWARD_IF_FALSE || opcode == POP_JUMP_FORWARD_IF_TRUE ||
           opcode == POP_JUMP_BACKWARD_IF_FALSE || opcode == POP_JUMP_BACKWARD_IF_TRUE;
}

/* Of two numbers, or of strings for equality, where the result decides a jump. */
static bool compares_unchecked(const _Py_CODEUNIT *at, PyObject *const *top)
{
    PyTypeObject *type = Py_TYPE(top[-1]);
    if (!is_conditional_jump(opcode_of(at + 1 + CACHES_OF_COMPARE_OP)) || type != Py_TYPE(top[-2]))
        return false;
    int operation = _Py_OPARG(*at);
    if (type == &PyLong_Type)
        return Py_ABS(Py_SIZE(top[-1])) <= 1 && Py_ABS(Py_SIZE(top[-2])) <= 1;
    return type == &PyFloat_Type || (type == &PyUnicode_Type && (operation == Py_EQ || operation == Py_NE));
}

static bool definition_is_unchecked(const PyMethodDef *def, bool keywords)
{
    switch (def->ml_flags & (METH_VARARGS | METH_FASTCALL | METH_NOARGS | METH_O | METH_KEYWORDS | METH_METHOD)) {
    case METH_FASTCALL:
        return !keywords;
    case METH_FASTCALL | METH_KEYWORDS:
        return !boundary_has(def); /* there the recording makes up for it */
    default:
        return false;
    }
}

static bool is_builtin(PyObject *callable, const char *name)
{
    return PyCFunction_CheckExact(callable) && strcmp(((PyCFunctionObject *)callable)->m_ml->ml_name, name) == 0 &&
           PyCFunction_GET_SELF(callable) && PyModule_Check(PyCFunction_GET_SELF(callable)) &&
           strcmp(PyModule_GetName(PyCFunction_GET_SELF(callable)), "builtins") == 0;
}

static bool is_append(PyObject *callable)
{
    return Py_IS_TYPE(callable, &PyMethodDescr_Type) && PyDescr_TYPE(callable) == &PyList_Type &&
           strcmp(((PyMethodDescrObject *)callable)->d_method->ml_name, "append") == 0;
}

static bool calls_unchecked(const _Py_CODEUNIT *at, PyObject *const *top)
{
    Py_ssize_t args = _Py_OPARG(*at);
    bool method = top[-args - 2] != NULL;
    PyObject *callable = method ? top[-args - 2] : top[-args - 1];
    bool keywords = opcode_of(at - 1 - CACHES_OF_PRECALL - 1) == KW_NAMES;
    args += method;
    if (callable == (PyObject *)&PyUnicode_Type)
        return args == 1 && !keywords;
    if (is_builtin(callable, "len"))
        return args == 1 && !keywords;
    if (is_append(callable))
        return args == 2 && !keywords && opcode_of(at + 1 + CACHES_OF_CALL) == POP_TOP;
    if (PyCFunction_CheckExact(callable))
        return definition_is_unchecked(((PyCFunctionObject *)callable)->m_ml, keywords);
    if (Py_IS_TYPE(callable, &PyMethodDescr_Type))
        return !keywords && definition_is_unchecked(((PyMethodDescrObject *)callable)->d_method, false);
    return false;
}

static bool was_traced(void)
{
    return count_events_are_on || tracer_theirs;
}

int recursion_limit_left_out(const frame *caller)
{
    if (!caller || opcode_of(caller->prev_instr) != CALL || was_traced() ||
        find(_PyThreadState_GET(), caller, INSTRUCTION))
        return 0;
    const _Py_CODEUNIT *precall = caller->prev_instr - 1 - CACHES_OF_PRECALL;
    if (_Py_OPCODE(*precall) == PRECALL)
        return 0; /* the code has not run often */
    PyCodeObject *code = caller->f_code;
    int depth = code_stack_depths(code)[precall - _PyCode_CODE(code)];
    return depth >= 0 && calls_unchecked(caller->prev_instr, caller->localsplus + code->co_nlocalsplus + depth);
}

static bool is_near_limit(const PyThreadState *thread)
{
    return thread->recursion_remaining <= NEAR && !was_traced();
}

void recursion_limit_at_call(PyFrameObject *frame_object)
{
    PyThreadState *thread = _PyThreadState_GET();
    const frame *f = frames_traced(frame_object);
    if (f->is_entry && recursion_limit_left_out(f->previous))
        lend(thread, f, ENTRY);
    if (is_near_limit(thread))
        frames_trace_opcodes(frame_object);
}

int recursion_limit_at_opcode(void)
{
    PyThreadState *thread = PyThreadState_Get();
    const frame *f = frames_current();
    if (recursion_limit_lent)
        take_back(thread, f, INSTRUCTION);
    if (!f || !is_near_limit(thread))
        return 0;
    PyObject *const *top = f->localsplus + f->stacktop;
    int opcode = opcode_of(f->prev_instr);
    if ((opcode == COMPARE_OP && compares_unchecked(f->prev_instr, top)) ||
        (opcode == CALL && calls_unchecked(f->prev_instr, top)))
        lend(thread, f, INSTRUCTION);
    return 1;
}

void recursion_limit_take_back(void)
{
    PyThreadState *thread = PyThreadState_Get();
    const frame *f = frames_current();
    take_back(thread, f, INSTRUCTION);
    take_back(thread, f, ENTRY);
}

#endif
