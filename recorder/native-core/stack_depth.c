#define Py_BUILD_CORE 1
#include "stack_depth.h"

#include <opcode.h>
#include <stddef.h>

int stack_needed(enum site_kind kind, bool is_constant)
{
    static const int needed[] = {
        [SITE_RETURN] = 1, [SITE_YIELD] = 1, [SITE_STORE_ATTR] = 2, [SITE_DELETE_ATTR] = 1, [SITE_STORE_ITEM] = 3,
        [SITE_DELETE_ITEM] = 2, [SITE_STORE_SLICE] = 4, [SITE_STORE_GLOBAL] = 1, [SITE_STORE_NAME] = 1,
        [SITE_DELETE_GLOBAL] = 0, [SITE_DELETE_NAME] = 0,
    };
    return is_constant ? 0 : needed[kind];
}

/* The code unit the instruction may jump to, -1: it does not. */
static Py_ssize_t jump_target(const instruction_view *i)
{
    switch (i->opcode) {
    case JUMP_FORWARD:
    case FOR_ITER:
    case SEND:
#if PY_VERSION_HEX >= 0x030C0000
    case POP_JUMP_IF_NONE:
    case POP_JUMP_IF_NOT_NONE:
    case POP_JUMP_IF_TRUE:
    case POP_JUMP_IF_FALSE:
#else
    case POP_JUMP_FORWARD_IF_NONE:
    case POP_JUMP_FORWARD_IF_NOT_NONE:
    case POP_JUMP_FORWARD_IF_TRUE:
    case POP_JUMP_FORWARD_IF_FALSE:
    case JUMP_IF_TRUE_OR_POP:
    case JUMP_IF_FALSE_OR_POP:
#endif
        return i->next + (Py_ssize_t)i->argument;
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT:
#if PY_VERSION_HEX < 0x030C0000
    case POP_JUMP_BACKWARD_IF_NONE:
    case POP_JUMP_BACKWARD_IF_NOT_NONE:
    case POP_JUMP_BACKWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_FALSE:
#endif
        return i->next - (Py_ssize_t)i->argument;
    default:
        return -1;
    }
}

static bool goes_on(int opcode)
{
    switch (opcode) {
    case JUMP_FORWARD:
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT:
    case RETURN_VALUE:
#if PY_VERSION_HEX >= 0x030C0000
    case RETURN_CONST:
#endif
    case RERAISE:
    case RAISE_VARARGS:
        return false;
    default:
        return true;
    }
}

static uint32_t take_number(const uint8_t **at, const uint8_t *end)
{
    uint32_t value = 0;
    while (*at < end) {
        uint8_t byte = *(*at)++;
        value = value << 6 | (byte & 63);
        if (!(byte & 64))
            break;
    }
    return value;
}

/* Handlers begin with what the table says, the exception, and where that is to be kept the raising instruction. */
static void enter_handlers(PyCodeObject *code, int16_t *depths)
{
    const uint8_t *at = (const uint8_t *)PyBytes_AS_STRING(code->co_exceptiontable);
    const uint8_t *end = at + PyBytes_GET_SIZE(code->co_exceptiontable);
    while (at < end) {
        take_number(&at, end);
        take_number(&at, end);
        uint32_t target = take_number(&at, end), depth = take_number(&at, end);
        if (target < (uint32_t)Py_SIZE(code))
            depths[target] = (int16_t)((depth >> 1) + (depth & 1) + 1);
    }
}

static bool enter(PyCodeObject *code, int16_t *depths, Py_ssize_t at, int depth)
{
    if (at < 0 || at >= Py_SIZE(code) || depths[at] >= 0 || depth < 0)
        return false;
    depths[at] = (int16_t)depth;
    return true;
}

/* One pass from the beginning to the end: whether something new was found behind the place it was found from. */
static bool pass(PyCodeObject *code, int16_t *depths)
{
    instruction_view i = {0};
    bool found = false;
    while (bytecode_next(code, &i)) {
        int depth = depths[i.begins];
        if (depth < 0)
            continue;
        Py_ssize_t target = jump_target(&i);
        if (target >= 0 && enter(code, depths, target, depth + PyCompile_OpcodeStackEffectWithJump(i.opcode, (int)i.argument, 1)))
            found |= target <= i.begins;
        if (i.opcode == RETURN_GENERATOR)
            enter(code, depths, i.next, 1); /* what the first resumption sends */
        else if (goes_on(i.opcode))
            enter(code, depths, i.next,
                  depth + PyCompile_OpcodeStackEffectWithJump(i.opcode, (int)i.argument, 0));
    }
    return found;
}

void stack_depths(PyCodeObject *code, int16_t *depths)
{
    for (Py_ssize_t i = 0; i < Py_SIZE(code); i++)
        depths[i] = -1;
    enter_handlers(code, depths);
    enter(code, depths, 0, 0);
    while (pass(code, depths))
        ;
}
