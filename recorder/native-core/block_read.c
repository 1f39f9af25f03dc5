#include "block_read.h"

#include <string.h>

int block_damaged(void)
{
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "the block of observations is damaged");
    return -1;
}

bool cursor_number(block_cursor *cursor, uint64_t *number)
{
    *number = 0;
    for (unsigned shift = 0; cursor->at < cursor->end && shift < 64; shift += 7) {
        unsigned char byte = *cursor->at++;
        *number |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128))
            return true;
    }
    return false;
}

bool cursor_signed(block_cursor *cursor, int64_t *number)
{
    uint64_t raw;
    if (!cursor_number(cursor, &raw))
        return false;
    *number = (int64_t)(raw >> 1 ^ -(raw & 1));
    return true;
}

bool cursor_below(block_cursor *cursor, uint64_t limit, uint32_t *number)
{
    uint64_t raw;
    if (!cursor_number(cursor, &raw) || raw >= limit)
        return false;
    *number = (uint32_t)raw;
    return true;
}

size_t cursor_left(const block_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* Zeroed room for as many things as so many bytes can describe. */
static void *table_for(size_t bytes, size_t item)
{
    void *table = bytes < UINT32_MAX / 2 ? PyMem_Calloc(bytes + 1, item) : NULL;
    if (!table)
        PyErr_NoMemory();
    return table;
}

/* --- tables ----------------------------------------------------------------------------------------------- */

static int read_texts(block_reader *r)
{
    block_cursor c = r->columns[COLUMN_STRINGS];
    if (!(r->texts = table_for(cursor_left(&c), sizeof *r->texts)))
        return -1;
    while (c.at < c.end) {
        uint64_t size;
        if (!cursor_number(&c, &size) || size > cursor_left(&c))
            return block_damaged();
        r->texts[r->text_count++] = (block_text){(const char *)c.at, (uint32_t)size, NULL};
        c.at += size;
    }
    return 0;
}

static int read_codes(block_reader *r)
{
    block_cursor c = r->columns[COLUMN_CODES];
    if (!(r->codes = table_for(cursor_left(&c) / 5, sizeof *r->codes)) || !(r->code_names = table_for(cursor_left(&c), sizeof(uint32_t))))
        return -1;
    uint32_t *names = r->code_names;
    while (c.at < c.end) {
        read_code *code = &r->codes[r->code_count++];
        uint64_t line;
        if (!cursor_below(&c, r->text_count, &code->file) || !cursor_below(&c, r->text_count, &code->name) ||
            !cursor_number(&c, &line) || line > INT32_MAX || !cursor_below(&c, 256, &code->flags) ||
            !cursor_below(&c, cursor_left(&c) + 1, &code->slots))
            return block_damaged();
        code->first_line = (int64_t)line;
        code->names = names;
        for (uint32_t i = 0; i < code->slots; i++)
            if (!cursor_below(&c, 2 * (uint64_t)r->text_count, names++))
                return block_damaged();
    }
    return 0;
}

static int read_places(block_reader *r)
{
    block_cursor c = r->columns[COLUMN_PLACES];
    if (!(r->places = table_for(cursor_left(&c) / 2, sizeof *r->places)) ||
        !(r->successors = table_for(cursor_left(&c) / 2, sizeof *r->successors)))
        return -1;
    while (c.at < c.end) {
        read_place *place = &r->places[r->place_count++];
        int64_t line;
        if (!cursor_below(&c, r->code_count, &place->code) || !cursor_signed(&c, &line) || line > INT32_MAX || line < INT32_MIN)
            return block_damaged();
        place->line = r->codes[place->code].first_line + line;
    }
    return 0;
}

static int read_frames(block_reader *r)
{
    block_cursor c = r->columns[COLUMN_FRAMES];
    block_cursor rows = r->columns[COLUMN_OPS];
    r->frame_room = (uint32_t)(cursor_left(&c) / 5 + cursor_left(&rows));
    if (!(r->frames = table_for(r->frame_room, sizeof *r->frames)) ||
        !(r->number_of = table_for(r->frame_room, sizeof *r->number_of)))
        return -1;
    while (c.at < c.end) {
        read_frame *f = &r->frames[r->old_count++];
        uint64_t line;
        if (!cursor_number(&c, &f->id) || !cursor_number(&c, &f->address) || !cursor_below(&c, r->code_count, &f->code) ||
            !cursor_number(&c, &f->before) || !cursor_number(&c, &line) || line > INT32_MAX)
            return block_damaged();
        f->address <<= 3;
        f->line_before = (int64_t)line;
        f->is_old = true;
    }
    return 0;
}

static int read_entries(block_reader *r)
{
    block_cursor c = r->columns[COLUMN_TABLE];
    uint64_t address = 0;
    if (!(r->entries = table_for(cursor_left(&c) / 4, sizeof *r->entries)))
        return -1;
    while (c.at < c.end) {
        read_entry *e = &r->entries[r->entry_count++];
        int64_t step;
        if (!cursor_below(&c, r->text_count, &e->type) || !cursor_signed(&c, &step) ||
            !cursor_below(&c, r->text_count, &e->text) || !cursor_below(&c, 256, &e->flags))
            return block_damaged();
        address += (uint64_t)step;
        e->address = address << 3;
    }
    return 0;
}

static int read_head(block_reader *r, const unsigned char *bytes, size_t size)
{
    block_cursor c = {bytes + 5, bytes + size};
    uint64_t sizes[BLOCK_COLUMNS];
    if (size < 5 || memcmp(bytes, BLOCK_MAGIC, 4) != 0 || bytes[4] != BLOCK_VERSION)
        return block_damaged();
    if (!cursor_number(&c, &r->first) || !cursor_number(&c, &r->ticks) || !cursor_number(&c, &r->what) ||
        !cursor_number(&c, &r->inputs_before) || r->ticks == 0 ||
        r->ticks > BLOCK_TICKS || r->first == 0 || r->first > UINT64_MAX / 2)
        return block_damaged();
    for (int i = 0; i < BLOCK_COLUMNS; i++)
        if (!cursor_number(&c, &sizes[i]))
            return block_damaged();
    for (int i = 0; i < BLOCK_COLUMNS; i++) {
        if (sizes[i] > cursor_left(&c))
            return block_damaged();
        r->columns[i] = (block_cursor){c.at, c.at + sizes[i]};
        c.at += sizes[i];
    }
    return c.at == c.end && sizes[COLUMN_KEYS] % 4 == 0 ? 0 : block_damaged();
}

/* --- opening and closing ------------------------------------------------------------------------------------- */

int block_reader_open_head(block_reader *r, const unsigned char *bytes, size_t size)
{
    memset(r, 0, sizeof *r);
    return read_head(r, bytes, size);
}

int block_reader_open(block_reader *r, const unsigned char *bytes, size_t size)
{
    read_fact fact;
    int more;
    if (block_reader_open_head(r, bytes, size) < 0 || read_texts(r) < 0 || read_codes(r) < 0 || read_places(r) < 0 ||
        read_frames(r) < 0 || read_entries(r) < 0 || block_walk_begin(r, false) < 0)
        return -1;
    while ((more = block_walk_next(r, &fact)) > 0)
        ;
    return more;
}

void block_reader_close(block_reader *r)
{
    for (uint32_t i = 0; r->texts && i < r->text_count; i++)
        Py_XDECREF(r->texts[i].object);
    for (uint32_t i = 0; r->entries && i < r->entry_count; i++)
        Py_XDECREF(r->entries[i].object);
    for (uint32_t i = 0; r->frames && r->keeps_values && i < r->old_count + r->new_given; i++)
        PyMem_Free(r->frames[i].slots);
    for (uint32_t i = 0; i < r->thread_count; i++)
        PyMem_Free(r->threads[i].frames);
    PyMem_Free(r->texts);
    PyMem_Free(r->codes);
    PyMem_Free(r->code_names);
    PyMem_Free(r->places);
    PyMem_Free(r->successors);
    PyMem_Free(r->entries);
    PyMem_Free(r->frames);
    PyMem_Free(r->number_of);
    PyMem_Free(r->threads);
}
