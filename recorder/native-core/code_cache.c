#include "code_cache.h"

#if PY_VERSION_HEX < 0x030C0000

#include "bytecode.h"
#include "stack_depth.h"

#include <opcode.h>

/* The first version that was seen to enter a `__getitem__` through the hook always, also from the instruction that it makes
 * for subscripts in code that has run often. */
#define SUBSCRIPTS_KNOWN 0x030B0700

/* Code objects by address; linear probing. An entry goes when its code dies, so an address never stands for another. */
typedef struct {
    PyCodeObject *code;
    enum code_loop loops;
    bool subscripts, one_line;
    int16_t *depths; /* NULL: not asked for yet */
} entry;

#define NO_MEMORY "retroscope: no memory for what is known of code objects"

static entry *entries;
static size_t size, used; /* size: a power of two */
static entry last;        /* the one that was asked for before, once more */
static destructor code_dealloc;

static size_t place_of(const PyCodeObject *code)
{
    return ((uintptr_t)code >> 4) * 0x9E3779B97F4A7C15u >> 20 & (size - 1);
}

/* Where the code is, or should be. */
static entry *find(const PyCodeObject *code)
{
    size_t at = place_of(code);
    while (entries[at].code && entries[at].code != code)
        at = (at + 1) & (size - 1);
    return &entries[at];
}

/* The entries behind a gap move up, as far as they may. */
static void close_gap(size_t gap)
{
    for (size_t at = (gap + 1) & (size - 1); entries[at].code; at = (at + 1) & (size - 1)) {
        size_t wanted = place_of(entries[at].code);
        if (((at - wanted) & (size - 1)) < ((at - gap) & (size - 1)))
            continue;
        entries[gap] = entries[at];
        gap = at;
    }
    entries[gap] = (entry){0};
    used--;
}

static void code_dies(PyObject *object)
{
    PyCodeObject *code = (PyCodeObject *)object;
    entry *found = find(code);
    if (found->code) {
        PyMem_RawFree(found->depths);
        close_gap((size_t)(found - entries));
    }
    if (last.code == code)
        last = (entry){0};
    code_dealloc(object);
}

static void grow(void)
{
    entry *old = entries;
    size_t n = size;
    size = size ? size * 2 : 1024;
    entries = PyMem_RawCalloc(size, sizeof *entries);
    if (!entries)
        Py_FatalError(NO_MEMORY);
    for (size_t i = 0; i < n; i++)
        if (old[i].code)
            *find(old[i].code) = old[i];
    PyMem_RawFree(old);
    if (code_dealloc)
        return;
    code_dealloc = PyCode_Type.tp_dealloc;
    PyCode_Type.tp_dealloc = code_dies;
}

static void note_loop(entry *facts, enum code_loop kind)
{
    if (facts->loops < kind)
        facts->loops = kind;
}

static entry look_at(PyCodeObject *code)
{
    entry facts = {code, .one_line = bytecode_is_one_line(code, code->_co_firsttraceable + 1)};
    instruction_view i = {0};
    while (bytecode_next(code, &i)) {
        switch (i.opcode) {
        case JUMP_BACKWARD:
            note_loop(&facts, i.argument == 1 ? CODE_SPINS : CODE_LOOPS);
            break;
        case POP_JUMP_BACKWARD_IF_NOT_NONE:
        case POP_JUMP_BACKWARD_IF_NONE:
        case POP_JUMP_BACKWARD_IF_FALSE:
        case POP_JUMP_BACKWARD_IF_TRUE:
            note_loop(&facts, CODE_LOOPS);
            break;
        case BINARY_SUBSCR:
            facts.subscripts = true;
            break;
        default:
            break;
        }
    }
    return facts;
}

static const entry *facts_of(PyCodeObject *code)
{
    if (last.code == code)
        return &last;
    if (used * 2 >= size)
        grow();
    entry *found = find(code);
    if (!found->code) {
        *found = look_at(code);
        used++;
    }
    last = *found;
    return &last;
}

enum code_loop code_loops(PyCodeObject *code)
{
    return facts_of(code)->loops;
}

bool code_may_run_untraced(PyCodeObject *code)
{
    const entry *facts = facts_of(code);
    return !facts->loops && (!facts->subscripts || Py_Version >= SUBSCRIPTS_KNOWN);
}

bool code_is_one_tick(PyCodeObject *code)
{
    return !(code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) &&
           PyBytes_GET_SIZE(code->co_exceptiontable) == 0 && code_may_run_untraced(code) && facts_of(code)->one_line;
}

const int16_t *code_stack_depths(PyCodeObject *code)
{
    if (facts_of(code)->depths)
        return last.depths;
    last.depths = PyMem_RawMalloc((size_t)Py_SIZE(code) * sizeof *last.depths);
    if (!last.depths)
        Py_FatalError(NO_MEMORY);
    stack_depths(code, last.depths);
    *find(code) = last;
    return last.depths;
}

#endif
