/* The running thread's Python frames, read straight from the interpreter: no allocation, no Python code.
 *
 * A frame here is an interpreter frame that a traceback would show: shims, entry frames on the C stack and
 * frames that have not reached their first instruction are skipped. Pointers are void as soon as Python code
 * runs. The GIL need not be held (the thread must then be inside a call that released it).
 */
#ifndef RETROSCOPE_FRAMES_H
#define RETROSCOPE_FRAMES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct _PyInterpreterFrame frame;

/* The innermost frame, or NULL when no Python code runs. */
const frame *frames_current(void);

/* The same, inside a trace function: what it is told of. */
const frame *frames_traced(const PyFrameObject *object);

/* The same of another thread, which stands. */
const frame *frames_shown_top(PyThreadState *thread);

/* The frame that called `f`, or NULL. */
const frame *frames_caller(const frame *f);

/* Frames on the stack from `f` outwards, `f` included; 0 for NULL. `tick` is the number of line events so far:
 * with it the answer for the frame of the preceding line event, its callers and callees costs next to nothing. */
uint32_t frames_depth(const frame *f, uint64_t tick);

PyCodeObject *frames_code(const frame *f);  /* borrowed */
bool frames_calls_unchecked(const frame *f); /* 3.11: by an instruction that leaves out the check of the recursion depth */
int frames_line(const frame *f);            /* 0 when the code has no line there */

/* Whether the frame's current instruction is a raise statement's. */
bool frames_at_raise(const frame *f);

/* Whether the frame has just been entered for the first time (a generator's resumption is not). 3.11 only, and
 * only inside a trace function's "call" event. */
bool frames_starting(const frame *f);

/* Whether the frame is kept by a generator, a coroutine or an asynchronous generator. */
bool frames_is_generators(const frame *f);

/* Whether such a one, known by where its frame was, has ended or died. `read` reads a word of memory that may be gone. */
bool frames_generator_is_over(const frame *f, bool (*read)(uintptr_t address, uint64_t *word));

/* Whether `object` is the Python-visible frame object of `f`. */
bool frames_has_object(const frame *f, const PyFrameObject *object);

/* The frame object of the innermost frame: a new reference, NULL without an exception if there is none.
 * Allocates on the Python heap: only for a process that is about to be thrown away. */
PyObject *frames_object(void);

/* Whether this OS thread holds the GIL with a thread state. */
bool frames_gil_held(void);

/* --- entries into Python code ---

 * A hook stands for the interpreter's evaluation of a frame that C code enters; frames that Python code enters are
 * not told of while no hook is set. */
typedef PyObject *(*frames_hook)(PyThreadState *thread, frame *entered, int throwing);

void frames_set_hook(frames_hook hook);        /* NULL: none */
void frames_set_second_hook(frames_hook hook); /* what stands behind it */

/* For the hook and for the second one: what would be done without it. */
PyObject *frames_evaluate(PyThreadState *thread, frame *entered, int throwing);
PyObject *frames_evaluate_at_last(PyThreadState *thread, frame *entered, int throwing);

/* What an entered frame is about to run; everything borrowed. */
typedef struct {
    PyFunctionObject *function;  /* NULL when the entry resumes a generator */
    PyObject *generator;         /* NULL when a function begins */
    PyObject *sent;              /* what the generator is sent */
    PyCodeObject *code;
    PyObject **locals;           /* the arguments of a function that begins, in the order of its variables */
} frame_entry;

frame_entry frames_entry(const frame *entered);

/* The innermost frame as the interpreter keeps it, shims and all; to be put back, or replaced for a while by an outer
 * one. */
const frame *frames_top(PyThreadState *thread);
void frames_set_top(PyThreadState *thread, const frame *f);

/* Are these arguments, as a C function gets them, on the stack of values of `f` or in the tuple that its `call(*args)`
 * spreads? Those that bytecode passes are. */
bool frames_pass(const frame *f, PyObject *const *args, Py_ssize_t nargs);

/* The instruction at which a frame stands, in short: two of different code may be the same. */
uint64_t frames_instruction(const frame *f);

/* What tells where a frame stands: its code, by what it is called, and the instruction. `callee`: the frame that it waits
 * for, NULL. It is the same whether the interpreter has called that one by a call of C or not. */
uint64_t frames_place(const frame *f, const frame *callee);

/* The variables of `f`, NULL where one is unbound; with its stack of values if that is known. Borrowed. */
PyObject *const *frames_variables(const frame *f, bool with_stack, Py_ssize_t *n);
PyObject *frames_globals(const frame *f); /* borrowed */

/* The frame of a suspended generator or coroutine, NULL when it is over or runs. */
const frame *frames_of_generator(PyObject *generator);

/* 3.11 only, where such a loop makes no line events: is the frame's instruction one that jumps to itself? */
bool frames_loops_in_place(const frame *f);
void frames_trace_opcodes(PyFrameObject *f); /* an "opcode" event from now on for each instruction, */
bool frames_opcodes_are_ours(const PyFrameObject *f); /* of which the program's trace function is not told */

/* Lets the running thread recurse deeper than the program may: an evaluation at the program's recursion limit
 * needs room. */
void frames_give_room(void);

#endif
