#define Py_BUILD_CORE 1
#include "bytecode.h"

#include "arena.h"
#include "stack_depth.h"
#include "visible.h"

#include <internal/pycore_code.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_interp.h>
#if PY_VERSION_HEX >= 0x030D0000
#define NEED_OPCODE_METADATA
#include <internal/pycore_opcode_metadata.h>
#else
#if PY_VERSION_HEX >= 0x030C0000
#define NEED_OPCODE_TABLES /* 3.11: frames.c has them */
#endif
#include <internal/pycore_opcode.h>
#endif
#include <opcode.h>
#include <string.h>

/* --- the instructions the compiler wrote -------------------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030C0000

static int without_event(int opcode)
{
    switch (opcode) {
    case INSTRUMENTED_RESUME: return RESUME;
    case INSTRUMENTED_RETURN_VALUE: return RETURN_VALUE;
    case INSTRUMENTED_RETURN_CONST: return RETURN_CONST;
    case INSTRUMENTED_YIELD_VALUE: return YIELD_VALUE;
    case INSTRUMENTED_CALL: return CALL;
    case INSTRUMENTED_CALL_FUNCTION_EX: return CALL_FUNCTION_EX;
    case INSTRUMENTED_LOAD_SUPER_ATTR: return LOAD_SUPER_ATTR;
    case INSTRUMENTED_JUMP_FORWARD: return JUMP_FORWARD;
    case INSTRUMENTED_JUMP_BACKWARD: return JUMP_BACKWARD;
    case INSTRUMENTED_FOR_ITER: return FOR_ITER;
    case INSTRUMENTED_END_FOR: return END_FOR;
    case INSTRUMENTED_END_SEND: return END_SEND;
    case INSTRUMENTED_POP_JUMP_IF_NONE: return POP_JUMP_IF_NONE;
    case INSTRUMENTED_POP_JUMP_IF_NOT_NONE: return POP_JUMP_IF_NOT_NONE;
    case INSTRUMENTED_POP_JUMP_IF_TRUE: return POP_JUMP_IF_TRUE;
    case INSTRUMENTED_POP_JUMP_IF_FALSE: return POP_JUMP_IF_FALSE;
#if PY_VERSION_HEX >= 0x030D0000
    case INSTRUMENTED_CALL_KW: return CALL_KW;
#endif
    default: return _PyOpcode_Deopt[opcode];
    }
}

int bytecode_opcode(PyCodeObject *code, Py_ssize_t unit)
{
    int opcode = _PyCode_CODE(code)[unit].op.code;
    if (opcode == INSTRUMENTED_LINE)
        opcode = code->_co_monitoring->lines[unit].original_opcode;
    if (opcode == INSTRUMENTED_INSTRUCTION)
        opcode = code->_co_monitoring->per_instruction_opcodes[unit];
    return without_event(opcode);
}

#else

int bytecode_opcode(PyCodeObject *code, Py_ssize_t unit)
{
    return _PyOpcode_Deopt[_Py_OPCODE(_PyCode_CODE(code)[unit])];
}

#endif

int bytecode_next(PyCodeObject *code, instruction_view *i)
{
    Py_ssize_t size = Py_SIZE(code), at = i->next;
    uint32_t argument = 0;
    if (at >= size)
        return 0;
    i->begins = at;
    while (bytecode_opcode(code, at) == EXTENDED_ARG && at + 1 < size)
        argument = (argument | _Py_OPARG(_PyCode_CODE(code)[at++])) << 8;
    i->at = at;
    i->opcode = bytecode_opcode(code, at);
    i->argument = argument | _Py_OPARG(_PyCode_CODE(code)[at]);
    i->next = at + 1 + _PyOpcode_Caches[i->opcode];
    return 1;
}

/* --- the table of lines: as Objects/locations.md of CPython describes it ------------------------------------- */

static uint32_t take_varint(const uint8_t **at, const uint8_t *end)
{
    uint32_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 32; shift += 6) {
        uint8_t byte = *(*at)++;
        value |= (uint32_t)(byte & 63) << shift;
        if (!(byte & 64))
            break;
    }
    return value;
}

static int take_signed(const uint8_t **at, const uint8_t *end)
{
    uint32_t value = take_varint(at, end);
    return value & 1 ? -(int)(value >> 1) : (int)(value >> 1);
}

typedef struct {
    const uint8_t *at, *end;
    Py_ssize_t until;  /* the entry is about the code units before this one */
    int line;          /* of the entries so far */
    int here;          /* of this entry, -1: none */
} line_walk;

static bool next_lines(line_walk *walk)
{
    if (walk->at >= walk->end)
        return false;
    uint8_t first = *walk->at++;
    unsigned kind = first >> 3 & 15;
    walk->until += (first & 7) + 1;
    if (kind == 15) {
        walk->here = -1;
    } else {
        walk->line += kind == 14 || kind == 13 ? take_signed(&walk->at, walk->end) : kind >= 10 ? (int)kind - 10 : 0;
        walk->here = walk->line;
    }
    while (walk->at < walk->end && !(*walk->at & 128))
        walk->at++;
    return true;
}

static line_walk lines_of(PyCodeObject *code)
{
    const uint8_t *table = (const uint8_t *)PyBytes_AS_STRING(code->co_linetable);
    return (line_walk){table, table + PyBytes_GET_SIZE(code->co_linetable), 0, code->co_firstlineno, -1};
}

bool bytecode_is_one_line(PyCodeObject *code, Py_ssize_t from)
{
    line_walk walk = lines_of(code);
    int line = 0;
    while (next_lines(&walk)) {
        if (walk.until <= from)
            continue;
        if (walk.here < 0 || (line && walk.here != line))
            return false;
        line = walk.here;
    }
    return true;
}

/* --- facts -------------------------------------------------------------------------------------------------- */

static uint64_t slot_bit(uint32_t slot)
{
    return slot < 64 ? (uint64_t)1 << slot : 0;
}

/* The slots below 64 that an instruction may store. */
static uint64_t stored_slots(const instruction_view *i)
{
    switch (i->opcode) {
    case STORE_FAST:
    case DELETE_FAST:
        return slot_bit(i->argument);
#if PY_VERSION_HEX >= 0x030C0000
    case LOAD_FAST_AND_CLEAR:
        return slot_bit(i->argument);
#endif
#if PY_VERSION_HEX >= 0x030D0000
    case STORE_FAST_LOAD_FAST:
        return slot_bit(i->argument >> 4);
    case STORE_FAST_STORE_FAST:
        return slot_bit(i->argument >> 4) | slot_bit(i->argument & 15);
#endif
    default:
        return 0;
    }
}

static enum site_kind kind_of_site(int opcode)
{
    switch (opcode) {
    case RETURN_VALUE: return SITE_RETURN;
#if PY_VERSION_HEX >= 0x030C0000
    case RETURN_CONST: return SITE_RETURN;
    case STORE_SLICE: return SITE_STORE_SLICE;
#endif
    case YIELD_VALUE: return SITE_YIELD;
    case STORE_ATTR: return SITE_STORE_ATTR;
    case DELETE_ATTR: return SITE_DELETE_ATTR;
    case STORE_SUBSCR: return SITE_STORE_ITEM;
    case DELETE_SUBSCR: return SITE_DELETE_ITEM;
    case STORE_GLOBAL: return SITE_STORE_GLOBAL;
    case DELETE_GLOBAL: return SITE_DELETE_GLOBAL;
    case STORE_NAME: return SITE_STORE_NAME;
    case DELETE_NAME: return SITE_DELETE_NAME;
    default: return 0;
    }
}

bool bytecode_stores(PyCodeObject *code, Py_ssize_t unit)
{
    return kind_of_site(bytecode_opcode(code, unit)) > SITE_YIELD;
}

static void find_line_span(code_facts *facts)
{
    line_walk walk = lines_of(facts->code);
    facts->least_line = facts->most_line = facts->first_line;
    while (next_lines(&walk)) {
        if (walk.here < 0)
            continue;
        facts->least_line = walk.here < facts->least_line ? walk.here : facts->least_line;
        facts->most_line = walk.here > facts->most_line ? walk.here : facts->most_line;
    }
}

static void note_stores(code_facts *facts)
{
    line_walk walk = lines_of(facts->code);
    instruction_view i = {0};
    while (bytecode_next(facts->code, &i)) {
        while (walk.until <= i.at && next_lines(&walk))
            ;
        uint64_t slots = stored_slots(&i);
        if (slots && walk.here >= 0)
            facts->line_stores[walk.here - facts->least_line] |= slots;
        else
            facts->anywhere |= slots;
    }
}

static void add_site(code_facts *facts, const instruction_view *i, enum site_kind kind, const int16_t *depths)
{
    bool is_constant = false;
#if PY_VERSION_HEX >= 0x030C0000
    is_constant = i->opcode == RETURN_CONST;
#endif
    int depth = depths[i->begins];
    if (depth < 0)
        return; /* nothing gets there */
    if (depth < stack_needed(kind, is_constant)) {
        facts->sites_lost = true;
        return;
    }
    facts->stores |= kind > SITE_YIELD;
    facts->sites[facts->site_count++] = (code_site){(uint32_t)i->at, (uint16_t)kind, is_constant, i->argument, depth};
}

/* Stores only of code that is observed in full: an instruction that is told of is never specialised, and what it then asks
 * the interpreter's cache of methods keeps other names alive than in a run that is not observed. */
static bool is_told(const code_facts *facts, enum site_kind kind)
{
    return kind && (facts->is_full || kind <= SITE_YIELD);
}

static void note_sites(code_facts *facts)
{
    instruction_view i = {0};
    size_t count = 0;
    while (bytecode_next(facts->code, &i))
        count += is_told(facts, kind_of_site(i.opcode));
    if (!count)
        return;
    facts->sites = arena_take(count * sizeof *facts->sites);
    size_t size = (size_t)Py_SIZE(facts->code) * sizeof(int16_t);
    int16_t *depths = arena_borrow(size);
    stack_depths(facts->code, depths);
    i = (instruction_view){0};
    while (bytecode_next(facts->code, &i)) {
        enum site_kind kind = kind_of_site(i.opcode);
        if (is_told(facts, kind))
            add_site(facts, &i, kind, depths);
    }
    arena_return(depths, size);
}

code_facts *code_facts_make(PyCodeObject *code, bool all_code)
{
    code_facts *facts = arena_take(sizeof *facts);
    facts->code = code;
    facts->is_visible = code_is_visible(code);
    facts->is_full = facts->is_visible || all_code;
    facts->is_generator = code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR);
    facts->has_namespace = !(code->co_flags & CO_OPTIMIZED);
    facts->slots = (uint32_t)code->co_nlocalsplus;
    facts->first_line = code->co_firstlineno;
    facts->linetable = code->co_linetable;
    for (uint32_t slot = 0; slot < facts->slots && slot < 64; slot++) {
        if (_PyLocals_GetKind(code->co_localspluskinds, (int)slot) & (CO_FAST_CELL | CO_FAST_FREE))
            facts->cells |= slot_bit(slot);
    }
    find_line_span(facts);
    size_t lines = (size_t)(facts->most_line - facts->least_line) + 1;
    facts->line_stores = arena_take(lines * sizeof *facts->line_stores);
    facts->places = arena_take(lines * sizeof *facts->places);
    note_stores(facts);
    note_sites(facts);
    return facts;
}

bool code_facts_hold(const code_facts *facts, PyCodeObject *code)
{
    return facts->code == code && facts->linetable == code->co_linetable && facts->first_line == code->co_firstlineno &&
           facts->slots == (uint32_t)code->co_nlocalsplus;
}

const code_site *code_site_at(const code_facts *facts, uint32_t unit)
{
    uint32_t low = 0, high = facts->site_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (facts->sites[middle].at < unit)
            low = middle + 1;
        else
            high = middle;
    }
    return low < facts->site_count && facts->sites[low].at == unit ? &facts->sites[low] : NULL;
}

/* --- telling of sites --------------------------------------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030C0000

/* What add_per_instruction_tools of the interpreter does, for single instructions and without its heap: through
 * sys.monitoring every instruction of the code would lose what it has specialised to, and then values of the program
 * would come to lie elsewhere. */
void code_sites_tell(code_facts *facts, int tool)
{
    PyCodeObject *code = facts->code;
    _PyCoMonitoringData *data = code->_co_monitoring;
    if (!data || !facts->site_count)
        return;
    size_t size = (size_t)Py_SIZE(code);
    if (!data->per_instruction_opcodes)
        data->per_instruction_opcodes = arena_take(size);
    if (!data->per_instruction_tools) {
        uint8_t others = PyInterpreterState_Get()->monitors.tools[PY_MONITORING_EVENT_INSTRUCTION] |
                         data->local_monitors.tools[PY_MONITORING_EVENT_INSTRUCTION];
        data->per_instruction_tools = arena_take(size);
        memset(data->per_instruction_tools, others, size);
    }
    for (uint32_t i = 0; i < facts->site_count; i++) {
        uint32_t at = facts->sites[i].at;
        uint8_t *opcode = &_PyCode_CODE(code)[at].op.code;
        data->per_instruction_tools[at] |= (uint8_t)(1 << tool);
        if (*opcode == INSTRUMENTED_LINE)
            opcode = &data->lines[at].original_opcode;
        if (*opcode == INSTRUMENTED_INSTRUCTION)
            continue;
        bool has_event = without_event(*opcode) != _PyOpcode_Deopt[*opcode];
        data->per_instruction_opcodes[at] = has_event ? *opcode : _PyOpcode_Deopt[*opcode];
        *opcode = INSTRUMENTED_INSTRUCTION;
    }
}

#else

void code_sites_tell(code_facts *Py_UNUSED(facts), int Py_UNUSED(tool))
{
}

#endif

/* --- what a frame holds -------------------------------------------------------------------------------------- */

PyObject *site_operand(const struct _PyInterpreterFrame *f, const code_facts *facts, const code_site *site, int from_top)
{
    if (site->constant)
        return PyTuple_GET_ITEM(facts->code->co_consts, site->argument);
    int top = (int)facts->slots + site->depth;
    return f->localsplus[top - from_top];
}

uint32_t frame_unit(const struct _PyInterpreterFrame *f)
{
#if PY_VERSION_HEX >= 0x030D0000
    return (uint32_t)(f->instr_ptr - _PyCode_CODE((PyCodeObject *)f->f_executable));
#else
    return (uint32_t)(f->prev_instr - _PyCode_CODE(f->f_code));
#endif
}

bool slot_is_cell(const code_facts *facts, uint32_t slot)
{
    return slot < 64 ? facts->cells >> slot & 1
                     : _PyLocals_GetKind(facts->code->co_localspluskinds, (int)slot) & (CO_FAST_CELL | CO_FAST_FREE);
}

PyObject *frame_slot(const struct _PyInterpreterFrame *f, const code_facts *facts, uint32_t slot)
{
    PyObject *held = f->localsplus[slot];
    return slot_is_cell(facts, slot) && held && PyCell_Check(held) ? PyCell_GET(held) : held;
}

PyObject *frame_namespace(const struct _PyInterpreterFrame *f, bool is_global)
{
    return is_global ? f->f_globals : f->f_locals;
}
