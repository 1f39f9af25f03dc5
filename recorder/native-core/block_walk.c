#include "block_read.h"

#include <string.h>

#define MOST_KEPT ((size_t)1 << 28) /* bytes for the variables of frames */

/* --- stacks ------------------------------------------------------------------------------------------------ */

static read_thread *thread_of(block_reader *r, uint64_t number)
{
    for (uint32_t i = 0; i < r->thread_count; i++) {
        if (r->threads[i].number == number) {
            r->running = i;
            return &r->threads[i];
        }
    }
    read_thread *grown = PyMem_Realloc(r->threads, (r->thread_count + 1) * sizeof *grown);
    if (!grown) {
        PyErr_NoMemory();
        return NULL;
    }
    r->threads = grown;
    r->running = r->thread_count;
    r->threads[r->thread_count++] = (read_thread){.number = number};
    return &r->threads[r->running];
}

static int push_frame(block_reader *r, uint32_t frame)
{
    read_thread *t = &r->threads[r->running];
    if (t->depth == t->size) {
        uint32_t size = t->size ? 2 * t->size : 64;
        uint32_t *grown = PyMem_Realloc(t->frames, size * sizeof *grown);
        if (!grown) {
            PyErr_NoMemory();
            return -1;
        }
        t->frames = grown;
        t->size = size;
    }
    t->frames[t->depth++] = frame;
    return 0;
}

static uint32_t top_of(const block_reader *r)
{
    const read_thread *t = &r->threads[r->running];
    return t->depth ? t->frames[t->depth - 1] : FRAME_NONE;
}

/* The number of a frame. The next one that has not been given is that of the next old frame. */
static bool take_frame(block_reader *r, block_cursor *cursor, uint32_t *frame)
{
    uint64_t number;
    if (!cursor_number(cursor, &number) || number > r->numbers_given)
        return false;
    if (number == r->numbers_given) {
        if (r->old_given == r->old_count)
            return false;
        r->number_of[r->numbers_given++] = r->old_given++;
    }
    *frame = r->number_of[number];
    return true;
}

static int begin_threads(block_reader *r)
{
    block_cursor c = r->columns[COLUMN_THREADS];
    while (c.at < c.end) {
        uint64_t number, depth;
        if (!cursor_number(&c, &number) || !cursor_number(&c, &depth) || depth > cursor_left(&c))
            return block_damaged();
        if (!thread_of(r, number))
            return -1;
        for (uint64_t i = 0; i < depth; i++) {
            uint32_t frame;
            if (!take_frame(r, &c, &frame))
                return block_damaged();
            if (push_frame(r, frame) < 0)
                return -1;
        }
    }
    r->running = 0;
    return r->thread_count ? 0 : block_damaged();
}

/* --- the walk ---------------------------------------------------------------------------------------------- */

int block_walk_begin(block_reader *r, bool keeps_values)
{
    memcpy(r->walk, r->columns, sizeof r->walk);
    memset(r->last_ints, 0, sizeof r->last_ints);
    memset(r->successors, 0, (r->place_count + 1) * sizeof *r->successors);
    for (uint32_t i = 0; i < r->old_count + r->new_given; i++) {
        read_frame *f = &r->frames[i];
        f->last = f->before;
        f->line = f->line_before;
        f->is_here = false;
        PyMem_Free(f->slots);
        f->slots = NULL;
    }
    for (uint32_t i = 0; i < r->thread_count; i++)
        PyMem_Free(r->threads[i].frames);
    r->thread_count = 0;
    r->keeps_values = keeps_values;
    r->kept_bytes = 0;
    r->last_place = 0;
    r->numbers_given = r->old_given = r->new_given = 0;
    r->tick = r->row_tick = r->first - 1;
    r->row_waits = false;
    r->inputs = r->inputs_before;
    r->last_address = 0;
    return begin_threads(r);
}

static int read_value_at(block_reader *r, uint32_t place, read_value *value)
{
    uint64_t kind;
    if (!cursor_number(&r->walk[COLUMN_VALUES], &kind))
        return block_damaged();
    if (kind >= VALUE_TABLE) {
        if (kind - VALUE_TABLE >= r->entry_count)
            return block_damaged();
        *value = (read_value){.kind = VALUE_TABLE, .index = (uint32_t)(kind - VALUE_TABLE)};
        return 0;
    }
    *value = (read_value){.kind = (uint8_t)kind};
    if (kind == VALUE_INT) {
        int64_t step;
        if (!cursor_signed(&r->walk[COLUMN_INTS], &step))
            return block_damaged();
        uint64_t sum = (uint64_t)r->last_ints[place] + (uint64_t)step;
        r->last_ints[place] = value->number = (int64_t)sum;
    } else if (kind == VALUE_FLOAT) {
        block_cursor *c = &r->walk[COLUMN_FLOATS];
        if (cursor_left(c) < sizeof value->exact)
            return block_damaged();
        memcpy(&value->exact, c->at, sizeof value->exact);
        c->at += sizeof value->exact;
    }
    return 0;
}

static bool take_address(block_reader *r, uint64_t *address)
{
    int64_t step;
    if (!cursor_signed(&r->walk[COLUMN_STORES], &step))
        return false;
    r->last_address += (uint64_t)step;
    *address = r->last_address << 3;
    return true;
}

/* Keeps what a slot holds. */
static int keep(block_reader *r, read_frame *f, uint32_t slot, const read_value *value)
{
    uint32_t slots = r->codes[f->code].slots;
    if (!f->slots) {
        r->kept_bytes += (slots + 1) * sizeof *f->slots;
        if (r->kept_bytes > MOST_KEPT)
            return block_damaged();
        f->slots = PyMem_Calloc(slots + 1, sizeof *f->slots);
        if (!f->slots) {
            PyErr_NoMemory();
            return -1;
        }
    }
    f->slots[slot] = *value;
    return 0;
}

static int read_slot(block_reader *r, uint8_t op, read_fact *fact)
{
    if (fact->frame == FRAME_NONE)
        return block_damaged();
    read_frame *f = &r->frames[fact->frame];
    if (!cursor_below(&r->walk[COLUMN_SLOTS], r->codes[f->code].slots, &fact->slot) ||
        read_value_at(r, fact->slot < 256 ? fact->slot : (uint32_t)INT_PLACE_OF_ROW(op), &fact->value) < 0)
        return block_damaged();
    fact->kind = op == ROW_LOCAL ? FACT_LOCAL : op == ROW_CONTENT ? FACT_CONTENT : FACT_KEPT;
    fact->by = f->last;
    f->is_here = true;
    return r->keeps_values ? keep(r, f, fact->slot, &fact->value) : 0;
}

static int read_store(block_reader *r, uint8_t op, read_fact *fact)
{
    block_cursor *c = &r->walk[COLUMN_STORES];
    if (!take_address(r, &fact->address))
        return block_damaged();
    if (op == ROW_FREED) {
        fact->kind = FACT_FREED;
        return 0;
    }
    fact->kind = op == ROW_ATTR ? FACT_ATTR : op == ROW_ITEM ? FACT_ITEM : FACT_NAME;
    if (op == ROW_ITEM) {
        if (read_value_at(r, INT_PLACE_OF_ROW(ROW_KINDS), &fact->key) < 0)
            return -1;
    } else if (!cursor_below(c, r->text_count, &fact->name) ||
               (op == ROW_ATTR && !cursor_below(c, r->text_count, &fact->type))) {
        return block_damaged();
    }
    return read_value_at(r, INT_PLACE_OF_ROW(op), &fact->value);
}

static int read_call(block_reader *r, uint8_t op, read_fact *fact)
{
    block_cursor *c = &r->walk[COLUMN_CALLS];
    read_thread *t = &r->threads[r->running];
    fact->caller = top_of(r);
    if (op == ROW_ENTER) {
        uint32_t code;
        if (!cursor_below(c, r->code_count, &code) || r->old_count + r->new_given >= r->frame_room)
            return block_damaged();
        fact->kind = FACT_ENTER;
        fact->frame = r->old_count + r->new_given++;
        r->frames[fact->frame].code = code;
        r->number_of[r->numbers_given++] = fact->frame;
        return push_frame(r, fact->frame);
    }
    if (op == ROW_RESUME) {
        fact->kind = FACT_RESUME;
        return take_frame(r, c, &fact->frame) ? push_frame(r, fact->frame) : block_damaged();
    }
    fact->kind = FACT_LEAVE;
    fact->how = 2;
    if (!t->depth || (op == ROW_LEAVE && (!cursor_below(c, 2, &fact->how) ||
                                          read_value_at(r, INT_PLACE_OF_ROW(ROW_LEAVE), &fact->value) < 0)))
        return block_damaged();
    t->depth--;
    return 0;
}

/* One row: 1 with a fact, 0 without one, -1. */
static int read_row(block_reader *r, read_fact *fact)
{
    uint8_t op = r->row_op;
    uint64_t number;
    *fact = (read_fact){.tick = r->tick, .frame = top_of(r), .caller = FRAME_NONE};
    r->row_waits = false;
    switch (op) {
    case ROW_ENTER:
    case ROW_RESUME:
    case ROW_LEAVE:
    case ROW_UNWIND:
        return read_call(r, op, fact) < 0 ? -1 : 1;
    case ROW_SWITCH:
        if (!cursor_number(&r->walk[COLUMN_CALLS], &number))
            return block_damaged();
        return thread_of(r, number) ? 0 : -1;
    case ROW_LOCAL:
    case ROW_CONTENT:
    case ROW_KEPT:
        return read_slot(r, op, fact) < 0 ? -1 : 1;
    case ROW_INPUT:
        if (!cursor_number(&r->walk[COLUMN_CALLS], &number))
            return block_damaged();
        r->inputs += number;
        fact->kind = FACT_INPUT;
        return 1;
    case ROW_RAISE:
        fact->kind = FACT_RAISE;
        return read_value_at(r, INT_PLACE_OF_ROW(op), &fact->value) < 0 ? -1 : 1;
    default:
        return read_store(r, op, fact) < 0 ? -1 : 1;
    }
}

static int read_line(block_reader *r, read_fact *fact)
{
    uint64_t raw;
    uint32_t frame = top_of(r), place;
    if (!cursor_number(&r->walk[COLUMN_LINES], &raw) || raw > r->place_count || frame == FRAME_NONE)
        return block_damaged();
    bool is_first = r->tick == r->first - 1;
    if (raw == 0 && (is_first || r->successors[r->last_place] == 0))
        return block_damaged();
    place = raw ? (uint32_t)raw - 1 : r->successors[r->last_place] - 1;
    if (!is_first)
        r->successors[r->last_place] = place + 1;
    r->last_place = place;
    r->tick++;
    *fact = (read_fact){.kind = FACT_LINE, .tick = r->tick, .frame = frame, .caller = FRAME_NONE, .place = place};
    read_frame *f = &r->frames[frame];
    if (!f->is_old && !f->id)
        f->id = r->tick;
    f->last = r->tick;
    f->line = r->places[place].line;
    f->is_here = true;
    return 1;
}

int block_walk_next(block_reader *r, read_fact *fact)
{
    for (;;) {
        block_cursor *ops = &r->walk[COLUMN_OPS];
        if (!r->row_waits && ops->at < ops->end) {
            uint64_t step;
            r->row_op = *ops->at++;
            if (r->row_op >= ROW_KINDS || !cursor_number(&r->walk[COLUMN_WHEN], &step) || step > BLOCK_TICKS)
                return block_damaged();
            r->row_tick += step;
            r->row_waits = true;
        }
        bool is_at_end = r->tick == r->first + r->ticks - 1;
        if (r->row_waits && r->row_tick == r->tick) {
            int found = read_row(r, fact);
            if (found)
                return found;
        } else if (is_at_end) {
            return r->row_waits ? block_damaged() : 0;
        } else {
            return read_line(r, fact);
        }
    }
}
