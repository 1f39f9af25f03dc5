#include "observed_frames.h"

#include "arena.h"
#include "contexts.h"
#include "control.h"
#include "watch.h"

#include <string.h>

uint64_t observed_tick;

typedef struct {
    observed_frame **frames;
    uint32_t depth, size;
    bool is_known; /* it ran while observed, or had a stack then */
} observed_stack;

static word_map frames_at;  /* records by the address of the frame */
static word_map codes;      /* facts by the address of the code */
static observed_stack *stacks; /* by the number of the thread */
static uint32_t stack_count, running;
static bool all_code;
static int site_tool;

/* --- codes ------------------------------------------------------------------------------------------------ */

code_facts *observed_facts(PyCodeObject *code)
{
    code_facts *facts = (code_facts *)(uintptr_t)map_get(&codes, (uintptr_t)code);
    if (facts && code_facts_hold(facts, code))
        return facts;
    facts = code_facts_make(code, all_code);
    map_put(&codes, (uintptr_t)code, (uintptr_t)facts);
    code_sites_tell(facts, site_tool);
    return facts;
}

void observed_code_dies(PyCodeObject *code)
{
    map_drop(&codes, (uintptr_t)code);
}

/* --- records ------------------------------------------------------------------------------------------------ */

static size_t record_size(const code_facts *facts)
{
    return sizeof(observed_frame) + (facts->is_full ? facts->slots : 0) * sizeof(seen_slot);
}

static observed_frame *make_record(const frame *f)
{
    code_facts *facts = observed_facts(frames_code(f));
    observed_frame *record = arena_borrow(record_size(facts));
    Py_ssize_t n;
    record->at = f;
    record->held = frames_variables(f, false, &n);
    record->facts = facts;
    record->depth = -1;
    record->is_fresh = true;
    map_put(&frames_at, (uintptr_t)f, (uintptr_t)record);
    return record;
}

static void drop_record(observed_frame *record)
{
    map_drop(&frames_at, (uintptr_t)record->at);
    arena_return(record, record_size(record->facts));
}

static observed_frame *record_of(const frame *f)
{
    return (observed_frame *)(uintptr_t)map_get(&frames_at, (uintptr_t)f);
}

/* --- stacks ------------------------------------------------------------------------------------------------- */

static observed_stack *stack_of(uint32_t thread)
{
    if (thread >= stack_count) {
        uint32_t size = stack_count ? stack_count : 16;
        while (size <= thread)
            size *= 2;
        observed_stack *grown = arena_borrow(size * sizeof *grown);
        if (stacks) {
            memcpy(grown, stacks, stack_count * sizeof *grown);
            arena_return(stacks, stack_count * sizeof *stacks);
        }
        stacks = grown;
        stack_count = size;
    }
    stacks[thread].is_known = true;
    return &stacks[thread];
}

static void push(observed_stack *stack, observed_frame *record)
{
    if (stack->depth == stack->size) {
        uint32_t size = stack->size ? 2 * stack->size : 64;
        observed_frame **grown = arena_borrow(size * sizeof *grown);
        if (stack->size) {
            memcpy(grown, stack->frames, stack->size * sizeof *grown);
            arena_return(stack->frames, stack->size * sizeof *grown);
        }
        stack->frames = grown;
        stack->size = size;
    }
    record->depth = (int32_t)stack->depth;
    record->thread = running;
    stack->frames[stack->depth++] = record;
}

static observed_stack *running_stack(void)
{
    if (running != core_thread) {
        running = core_thread;
        stack_of(running);
        block_row(ROW_SWITCH, observed_tick);
        block_put(COLUMN_CALLS, running);
    }
    return &stacks[running];
}

observed_frame *observed_top(void)
{
    observed_stack *stack = running_stack();
    return stack->depth ? stack->frames[stack->depth - 1] : NULL;
}

/* Gives the frame its number in this block, if it has none. */
static uint32_t number_of(observed_frame *record);
static uint32_t numbers_given, numbers_block;

static uint32_t next_number(void)
{
    if (numbers_block != block_serial) {
        numbers_block = block_serial;
        numbers_given = 0;
    }
    return numbers_given++;
}

static uint32_t number_of(observed_frame *record)
{
    if (record->block != block_serial) {
        record->block = block_serial;
        record->number = next_number();
        block_old_frame(record->id, (uintptr_t)record->at, record->facts, record->last, record->line);
    }
    return record->number;
}

/* An exception was thrown into it and given on to what it waits for, which has yielded since: it has not run. */
static bool is_suspended(const observed_frame *record)
{
    return record->facts->is_generator && !frames_generator_is_over(record->at, watch_read);
}

static void leave(observed_stack *stack, bool is_yield, PyObject *value)
{
    observed_frame *record = stack->frames[--stack->depth];
    block_row(ROW_LEAVE, observed_tick);
    block_put(COLUMN_CALLS, is_yield);
    block_value(value, INT_PLACE_OF_ROW(ROW_LEAVE));
    record->depth = -1;
    if (!is_yield)
        drop_record(record);
}

/* The innermost frame is not on the stack any more, and nothing was told of its end. */
static void pop(observed_stack *stack)
{
    if (is_suspended(stack->frames[stack->depth - 1])) {
        leave(stack, true, NULL);
        return;
    }
    block_row(ROW_UNWIND, observed_tick);
    drop_record(stack->frames[--stack->depth]);
}

static void resume(observed_stack *stack, observed_frame *record)
{
    uint32_t number = number_of(record);
    block_row(ROW_RESUME, observed_tick);
    block_put(COLUMN_CALLS, number);
    push(stack, record);
}

/* Whether the record is that of `f` on the running stack. */
static bool is_on_stack(const observed_frame *record, const frame *f)
{
    return record && record->depth >= 0 && record->thread == running && code_facts_hold(record->facts, frames_code(f));
}

observed_frame *observed_settle(const frame *f)
{
    observed_stack *stack = running_stack();
    if (stack->depth) {
        observed_frame *top = stack->frames[stack->depth - 1];
        if (top->at == f && code_facts_hold(top->facts, frames_code(f)))
            return top;
    }
    static const frame **missing; /* frames that are not on the stack yet, innermost first */
    static size_t room;
    size_t n = 0;
    const frame *known = f;
    for (; known && !is_on_stack(record_of(known), known); known = frames_caller(known)) {
        if (n == room) {
            const frame **grown = arena_take((room ? 2 * room : 256) * sizeof *grown);
            if (n)
                memcpy(grown, missing, n * sizeof *grown);
            missing = grown;
            room = room ? 2 * room : 256;
        }
        missing[n++] = known;
    }
    int32_t depth = known ? record_of(known)->depth : -1;
    while ((int32_t)stack->depth > depth + 1)
        pop(stack);
    while (n > 0) {
        const frame *next = missing[--n];
        observed_frame *record = record_of(next);
        if (stack->depth)
            observed_flush(stack->frames[stack->depth - 1]);
        if (record && (record->depth >= 0 || !code_facts_hold(record->facts, frames_code(next))))
            record = NULL; /* another one was at its place; it goes when that is entered anew */
        resume(stack, record ? record : make_record(next));
    }
    return stack->depth ? stack->frames[stack->depth - 1] : NULL;
}

observed_frame *observed_enter(const frame *f)
{
    observed_frame *caller = observed_settle(frames_caller(f));
    observed_stack *stack = running_stack();
    if (caller)
        observed_flush(caller);
    else
        while (stack->depth)
            pop(stack);
    observed_frame *old = record_of(f);
    if (old && old->depth < 0)
        drop_record(old); /* of a generator that has died */
    observed_frame *record = make_record(f);
    uint32_t code = block_code(record->facts);
    record->is_new = true;
    record->block = block_serial;
    record->number = next_number();
    block_row(ROW_ENTER, observed_tick);
    block_put(COLUMN_CALLS, code);
    if (!record->facts->keyed)
        block_key_text(FACT_ENTER, record->facts->code->co_qualname, NULL, 0);
    record->facts->keyed = true;
    push(stack, record);
    return record;
}

void observed_leave(bool is_yield, PyObject *value)
{
    observed_stack *stack = running_stack();
    if (stack->depth)
        leave(stack, is_yield, value);
}

/* --- variables ------------------------------------------------------------------------------------------------ */

static void write_slot(observed_frame *record, enum block_op op, uint32_t slot, PyObject *value)
{
    code_facts *facts = record->facts;
    block_row(op, observed_tick);
    block_put(COLUMN_SLOTS, slot);
    block_value(value, slot < 256 ? slot : INT_PLACE_OF_ROW(op));
    if (op != ROW_LOCAL || (slot < 64 && facts->keyed_slots >> slot & 1))
        return;
    block_key_text(FACT_LOCAL, facts->code->co_qualname, PyTuple_GET_ITEM(facts->code->co_localsplusnames, slot), 0);
    facts->keyed_slots |= slot < 64 ? (uint64_t)1 << slot : 0;
}

/* What the slot holds now; writes it if it has changed, or if `all` are to be written. */
static void look_at_slot(observed_frame *record, uint32_t slot, bool all)
{
    seen_slot *seen = &record->slots[slot];
    PyObject *value = frame_slot(record->at, record->facts, slot);
    bool changeable = false, is_same = value == seen->object;
    uint64_t fingerprint = value ? value_fingerprint(value, &changeable) : 0;
    bool is_changed = !is_same || fingerprint != seen->fingerprint;
    bool was_changeable = slot < 64 ? record->changeable >> slot & 1 : changeable;
    seen->object = value;
    seen->fingerprint = fingerprint;
    if (slot < 64)
        record->changeable = (record->changeable & ~((uint64_t)1 << slot)) | (uint64_t)changeable << slot;
    if (is_changed && !record->is_fresh)
        write_slot(record, is_same && was_changeable && changeable ? ROW_CONTENT : ROW_LOCAL, slot, value);
    else if (all && value)
        write_slot(record, ROW_KEPT, slot, value);
}

void observed_flush(observed_frame *record)
{
    const code_facts *facts = record->facts;
    if (!facts->is_full || !facts->slots)
        return;
    bool all = record->keyed != block_serial;
    uint64_t uncertain = facts->cells | facts->anywhere | record->changeable;
    if (record->line >= facts->least_line && record->line <= facts->most_line)
        uncertain |= facts->line_stores[record->line - facts->least_line];
    for (uint32_t slot = 0; slot < facts->slots; slot++) {
        /* What can only change with the pointer has not changed; most slots are such most of the time. */
        bool is_certain = slot < 64 && !(uncertain >> slot & 1);
        if (all || !is_certain || record->held[slot] != record->slots[slot].object)
            look_at_slot(record, slot, all);
    }
    record->keyed = block_serial;
    record->is_fresh = false;
}

/* What the slots hold at the beginning, without a word. */
static void look_quietly(observed_frame *record)
{
    for (uint32_t slot = 0; record->facts->is_full && slot < record->facts->slots; slot++) {
        bool changeable = false;
        PyObject *value = frame_slot(record->at, record->facts, slot);
        record->slots[slot] = (seen_slot){value, value ? value_fingerprint(value, &changeable) : 0};
        if (slot < 64)
            record->changeable |= (uint64_t)changeable << slot;
    }
    record->is_fresh = false;
}

/* --- the beginning and the end of blocks ------------------------------------------------------------------------ */

static void begin_stack(uint32_t thread, const frame *innermost)
{
    size_t n = 0;
    for (const frame *f = innermost; f; f = frames_caller(f))
        n++;
    const frame **chain = arena_borrow((n + 1) * sizeof *chain);
    size_t at = n;
    for (const frame *f = innermost; f; f = frames_caller(f))
        chain[--at] = f;
    running = thread;
    observed_stack *stack = stack_of(thread);
    for (at = 0; at < n; at++) {
        observed_frame *record = make_record(chain[at]);
        look_quietly(record);
        record->line = frames_line(chain[at]);
        push(stack, record);
    }
    arena_return(chain, (n + 1) * sizeof *chain);
}

void observed_begin(bool all, int tool, uint64_t tick)
{
    map_clear(&frames_at);
    map_clear(&codes);
    for (uint32_t i = 0; i < stack_count; i++)
        stacks[i].depth = stacks[i].is_known = 0;
    all_code = all;
    site_tool = tool;
    observed_tick = tick;
    for (uint32_t thread = 1; thread < contexts_known(); thread++) {
        const frame *f = thread == core_thread ? NULL : context_frame(thread);
        if (f)
            begin_stack(thread, f);
    }
    begin_stack(core_thread, tick ? frames_current() : NULL);
}

static void write_stack(uint32_t thread)
{
    observed_stack *stack = &stacks[thread];
    block_put(COLUMN_THREADS, thread);
    block_put(COLUMN_THREADS, stack->depth);
    for (uint32_t i = 0; i < stack->depth; i++)
        block_put(COLUMN_THREADS, number_of(stack->frames[i]));
}

void observed_stacks(void)
{
    write_stack(running);
    for (uint32_t thread = 0; thread < stack_count; thread++)
        if (thread != running && stacks[thread].is_known && stacks[thread].depth)
            write_stack(thread);
}

void observed_end(void)
{
    uintptr_t before = 0;
    for (size_t i = 0; frames_at.cells && i <= frames_at.mask; i++) {
        observed_frame *record = (observed_frame *)(uintptr_t)frames_at.cells[2 * i + 1];
        if (!record)
            continue;
        uintptr_t address = (uintptr_t)record->at >> 3;
        block_put(COLUMN_END, record->id);
        block_put_signed(COLUMN_END, (intptr_t)address - (intptr_t)before);
        block_put(COLUMN_END, record->last);
        before = address;
    }
}
