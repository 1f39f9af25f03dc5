/* The one file that knows CPython's private frame layout, version by version. */
#define Py_BUILD_CORE 1
#include "frames.h"

#include <internal/pycore_frame.h>
#include <internal/pycore_interp.h>
#if PY_VERSION_HEX < 0x030C0000
#define NEED_OPCODE_TABLES
#include <internal/pycore_opcode.h>
#endif
#include <opcode.h>
#include <stddef.h>

#if PY_VERSION_HEX >= 0x030E0000 || PY_VERSION_HEX < 0x030B0000
#error "frames.c knows the frame layout of CPython 3.11, 3.12 and 3.13 only"
#endif

static PyThreadState *running_thread(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyThreadState *thread = PyThreadState_GetUnchecked();
#else
    PyThreadState *thread = _PyThreadState_UncheckedGet();
#endif
    return thread ? thread : PyGILState_GetThisThreadState();
}

bool frames_gil_held(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked() != NULL;
#else
    return _PyThreadState_UncheckedGet() != NULL;
#endif
}

static bool is_shown(const frame *f)
{
#if PY_VERSION_HEX >= 0x030C0000
    if (f->owner == FRAME_OWNED_BY_CSTACK)
        return false;
#endif
    return !_PyFrame_IsIncomplete((frame *)f);
}

static const frame *first_shown(const frame *f)
{
    while (f && !is_shown(f))
        f = f->previous;
    return f;
}

const frame *frames_current(void)
{
    PyThreadState *thread = running_thread();
    if (!thread)
        return NULL;
#if PY_VERSION_HEX >= 0x030D0000
    return first_shown(thread->current_frame);
#else
    return first_shown(thread->cframe->current_frame);
#endif
}

const frame *frames_traced(const PyFrameObject *object)
{
    return object->f_frame;
}

const frame *frames_shown_top(PyThreadState *thread)
{
    return first_shown(frames_top(thread));
}

const frame *frames_caller(const frame *f)
{
    return first_shown(f->previous);
}

PyCodeObject *frames_code(const frame *f)
{
#if PY_VERSION_HEX >= 0x030D0000
    return (PyCodeObject *)f->f_executable;
#else
    return f->f_code;
#endif
}

/* The instruction the frame stands at. */
static const _Py_CODEUNIT *instruction(const frame *f)
{
#if PY_VERSION_HEX >= 0x030D0000
    return f->instr_ptr;
#else
    return f->prev_instr;
#endif
}

static Py_ssize_t instruction_index(const frame *f)
{
    return instruction(f) - _PyCode_CODE(frames_code(f));
}

bool frames_calls_unchecked(const frame *f)
{
#if PY_VERSION_HEX < 0x030C0000
    int opcode = _Py_OPCODE(*f->prev_instr);
    return opcode == PRECALL_BUILTIN_FAST_WITH_KEYWORDS || opcode == PRECALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS;
#else
    (void)f;
    return false;
#endif
}

int frames_line(const frame *f)
{
    int line = PyCode_Addr2Line(frames_code(f), (int)(instruction_index(f) * (Py_ssize_t)sizeof(_Py_CODEUNIT)));
    return line < 0 ? 0 : line;
}

#if PY_VERSION_HEX >= 0x030C0000
/* The opcode the compiler wrote, where monitoring has put its own over it. */
static int written_opcode(const frame *f)
{
    Py_ssize_t i = instruction_index(f);
    int opcode = instruction(f)->op.code;
    const _PyCoMonitoringData *monitoring = frames_code(f)->_co_monitoring;
    if (opcode == INSTRUMENTED_LINE && monitoring && monitoring->lines)
        opcode = monitoring->lines[i].original_opcode;
    if (opcode == INSTRUMENTED_INSTRUCTION && monitoring && monitoring->per_instruction_opcodes)
        opcode = monitoring->per_instruction_opcodes[i];
    return opcode;
}
#else
static int written_opcode(const frame *f)
{
    return _Py_OPCODE(*instruction(f));
}
#endif

bool frames_at_raise(const frame *f)
{
    return written_opcode(f) == RAISE_VARARGS;
}

bool frames_starting(const frame *f)
{
#if PY_VERSION_HEX >= 0x030C0000
    (void)f;
    return false;
#else
    /* RESUME 0 begins a function, RESUME 1, 2 and 3 follow a yield, yield from and await. What is thrown into a
     * generator enters it where it waits: at its yield, or at RETURN_GENERATOR if it has not begun. */
    int opcode = written_opcode(f);
    bool resumes = opcode == RESUME || opcode == RESUME_QUICK;
    return (resumes && _Py_OPARG(*instruction(f)) == 0) || opcode == RETURN_GENERATOR;
#endif
}

bool frames_is_generators(const frame *f)
{
    return f->owner == FRAME_OWNED_BY_GENERATOR;
}

bool frames_generator_is_over(const frame *f, bool (*read)(uintptr_t address, uint64_t *word))
{
    uintptr_t generator = (uintptr_t)f - offsetof(PyGenObject, gi_iframe);
    uintptr_t at = generator + offsetof(PyGenObject, gi_frame_state);
    uint64_t references, type, word;
    if (!read(generator + offsetof(PyObject, ob_refcnt), &references) || (Py_ssize_t)references <= 0 ||
        !read(generator + offsetof(PyObject, ob_type), &type) || !read(at & ~(uintptr_t)7, &word))
        return true;
    if (type != (uintptr_t)&PyGen_Type && type != (uintptr_t)&PyCoro_Type && type != (uintptr_t)&PyAsyncGen_Type)
        return true;
    return (int8_t)(word >> 8 * (at & 7)) >= FRAME_COMPLETED;
}

bool frames_has_object(const frame *f, const PyFrameObject *object)
{
    return f->frame_obj == object;
}

PyObject *frames_object(void)
{
    return (PyObject *)PyThreadState_GetFrame(PyThreadState_Get());
}

static frames_hook first_hook, second_hook;
static _PyFrameEvalFunction programs; /* NULL, or what sys.activate_stack_trampoline put in their place */

static void set_hooks(frames_hook first, frames_hook second)
{
    _PyFrameEvalFunction *slot = &PyInterpreterState_Main()->eval_frame;
    if (!first_hook && !second_hook)
        programs = *slot;
    first_hook = first;
    second_hook = second;
    *slot = first || second ? (_PyFrameEvalFunction)(first ? first : second) : programs;
}

void frames_set_hook(frames_hook hook)
{
    set_hooks(hook, second_hook);
}

void frames_set_second_hook(frames_hook hook)
{
    set_hooks(first_hook, hook);
}

PyObject *frames_evaluate(PyThreadState *thread, frame *entered, int throwing)
{
    return second_hook ? second_hook(thread, entered, throwing) : _PyEval_EvalFrameDefault(thread, entered, throwing);
}

PyObject *frames_evaluate_at_last(PyThreadState *thread, frame *entered, int throwing)
{
    return _PyEval_EvalFrameDefault(thread, entered, throwing);
}

frame_entry frames_entry(const frame *f)
{
    frame_entry entry = {.code = frames_code(f), .locals = (PyObject **)f->localsplus};
    if (f->owner == FRAME_OWNED_BY_GENERATOR) {
        entry.generator = (PyObject *)_PyFrame_GetGenerator((frame *)f);
        entry.sent = f->stacktop > entry.code->co_nlocalsplus ? f->localsplus[f->stacktop - 1] : NULL;
        return entry;
    }
#if PY_VERSION_HEX >= 0x030C0000
    if (PyFunction_Check(f->f_funcobj))
        entry.function = (PyFunctionObject *)f->f_funcobj;
#else
    entry.function = f->f_func;
#endif
    return entry;
}

const frame *frames_top(PyThreadState *thread)
{
#if PY_VERSION_HEX >= 0x030D0000
    return thread->current_frame;
#else
    return thread->cframe->current_frame;
#endif
}

void frames_set_top(PyThreadState *thread, const frame *f)
{
#if PY_VERSION_HEX >= 0x030D0000
    thread->current_frame = (frame *)f;
#else
    thread->cframe->current_frame = (frame *)f;
#endif
}

void frames_give_room(void)
{
    Py_SetRecursionLimit(Py_GetRecursionLimit() + 2000);
#if PY_VERSION_HEX >= 0x030C0000
    PyThreadState_Get()->c_recursion_remaining += 500;
#endif
}

/* The frame of the preceding line event, and its caller. Their depths still hold if they are on the stack: a
 * frame that began since would have had a line event of its own. */
typedef struct {
    const frame *at, *caller;
    const PyCodeObject *code;
} frame_mark;

static frame_mark last, last_caller;
static uint32_t last_depth;
static uint64_t last_tick;

static frame_mark mark(const frame *f)
{
    return f ? (frame_mark){f, frames_caller(f), frames_code(f)} : (frame_mark){0};
}

static bool is_marked(const frame *f, const frame_mark *m)
{
    return f == m->at && frames_code(f) == m->code && frames_caller(f) == m->caller;
}

uint32_t frames_depth(const frame *f, uint64_t tick)
{
    bool fresh = last_depth && tick - last_tick <= 1;
    uint32_t depth = 0;
    for (const frame *outer = f; outer; outer = frames_caller(outer), depth++) {
        if (fresh && is_marked(outer, &last)) {
            depth += last_depth;
            break;
        }
        if (fresh && is_marked(outer, &last_caller)) {
            depth += last_depth - 1;
            break;
        }
    }
    if (f) {
        last = mark(f);
        last_caller = mark(last.caller);
        last_depth = depth;
        last_tick = tick;
    }
    return depth;
}

/* --- what a frame holds ------------------------------------------------------------------------------- */

/* `call(*args)`: the tuple is the interpreter's alone where `args` is none itself. */
static bool spreads(const frame *f, PyObject *const *args, Py_ssize_t nargs)
{
    int opcode = written_opcode(f);
#if PY_VERSION_HEX >= 0x030C0000
    bool is_spread = opcode == CALL_FUNCTION_EX || opcode == INSTRUMENTED_CALL_FUNCTION_EX;
#else
    bool is_spread = opcode == CALL_FUNCTION_EX;
#endif
    const PyObject *tuple = (const PyObject *)((const char *)args - offsetof(PyTupleObject, ob_item));
    return is_spread && args && Py_IS_TYPE(tuple, &PyTuple_Type) && PyTuple_GET_SIZE(tuple) == nargs;
}

bool frames_pass(const frame *f, PyObject *const *args, Py_ssize_t nargs)
{
    if (!f || !is_shown(f))
        return false;
    PyCodeObject *code = frames_code(f);
    PyObject *const *first = f->localsplus;
    PyObject *const *end = first + code->co_nlocalsplus + code->co_stacksize;
    return (args >= first && args <= end) || spreads(f, args, nargs);
}

/* 3.11: what a caller has run of its CALL when the interpreter runs the callee without a call of C. */
static Py_ssize_t units_into_call(const frame *callee)
{
#if PY_VERSION_HEX < 0x030C0000
    return callee && !callee->is_entry ? INLINE_CACHE_ENTRIES_CALL : 0;
#else
    (void)callee;
    return 0;
#endif
}

uint64_t frames_instruction(const frame *f)
{
    Py_ssize_t index = instruction_index(f);
#if PY_VERSION_HEX < 0x030C0000
    if (_PyOpcode_Deopt[_Py_OPCODE(*instruction(f))] == CALL)
        index -= 1 + INLINE_CACHE_ENTRIES_PRECALL; /* what is specialised has called there already */
#endif
    return (uint64_t)frames_code(f)->co_firstlineno << 32 | (uint32_t)index;
}

uint64_t frames_place(const frame *f, const frame *callee)
{
    PyCodeObject *code = frames_code(f);
    uint64_t name = (uint64_t)PyObject_Hash(code->co_qualname) ^ (uint64_t)PyObject_Hash(code->co_filename) * 31;
    return (name * 1000003 + (uint64_t)code->co_firstlineno) * 1000003 +
           (uint64_t)(instruction_index(f) - units_into_call(callee));
}

PyObject *const *frames_variables(const frame *f, bool with_stack, Py_ssize_t *n)
{
    *n = frames_code(f)->co_nlocalsplus;
    if (with_stack && f->stacktop > *n)
        *n = f->stacktop;
    return f->localsplus;
}

PyObject *frames_globals(const frame *f)
{
    return f->f_globals;
}

const frame *frames_of_generator(PyObject *object)
{
    const PyGenObject *generator = (const PyGenObject *)object;
    return generator->gi_frame_state < FRAME_EXECUTING ? (const frame *)generator->gi_iframe : NULL;
}

#if PY_VERSION_HEX < 0x030C0000
bool frames_loops_in_place(const frame *f)
{
    _Py_CODEUNIT at = *instruction(f);
    return _PyOpcode_Deopt[_Py_OPCODE(at)] == JUMP_BACKWARD && _Py_OPARG(at) == 1;
}

/* The program sets 0 or 1. */
#define OPCODES_FOR_US 2

void frames_trace_opcodes(PyFrameObject *f)
{
    if (!f->f_trace_opcodes)
        f->f_trace_opcodes = OPCODES_FOR_US;
}

bool frames_opcodes_are_ours(const PyFrameObject *f)
{
    return f->f_trace_opcodes == OPCODES_FOR_US;
}
#endif
