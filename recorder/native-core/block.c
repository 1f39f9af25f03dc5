#define _GNU_SOURCE
#include "block.h"

#include "arena.h"
#include "block_key.h"
#include "block_types.h"
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define TEXT_BYTES 4096                /* a name or path of the program that is longer is cut */

uint32_t block_serial;

static int out = -1;
static uint32_t observed;
static uint64_t first_tick, ticks, first_inputs, last_inputs;

block_bytes block_columns[BLOCK_COLUMNS];
uint64_t block_row_tick;

static word_map strings, values;
static uint32_t *keys;
static size_t key_count;
static uint32_t string_count, code_count, place_count, value_count;

typedef struct {
    uint32_t at, size;
} string_entry;

typedef struct {
    uintptr_t address;
    uint32_t type, text, flags, spare; /* no padding: compared as bytes */
} value_entry;

#define TABLE_ENTRIES ((size_t)1 << 22)
static string_entry *string_entries;
static value_entry *value_entries;
static uint32_t *successors; /* the place that followed a place the last time; 0: none */
static uint32_t last_place;
static int64_t last_ints[INT_PLACES];
static uintptr_t last_address, last_value_address;

/* --- bytes ---------------------------------------------------------------------------------------------- */

void block_has_no_room(void)
{
    control_fatal("The replay cannot be observed: one step of the program has more than %zu MiB of observations.",
                  BLOCK_COLUMN_BYTES >> 20);
}

static void put_bytes(enum block_column column, const void *bytes, size_t size)
{
    memcpy(block_room(column, size), bytes, size);
    block_columns[column].size += size;
}

/* --- a block as a whole ------------------------------------------------------------------------------------- */

void block_begin(int fd, uint32_t what)
{
    if (out >= 0)
        close(out);
    out = fd;
    observed = what;
    if (block_columns[0].bytes)
        return;
    for (int i = 0; i < BLOCK_COLUMNS; i++)
        block_columns[i].bytes = arena_take(BLOCK_COLUMN_BYTES);
    string_entries = arena_take(TABLE_ENTRIES * sizeof *string_entries);
    value_entries = arena_take(TABLE_ENTRIES * sizeof *value_entries);
    successors = arena_take(TABLE_ENTRIES * sizeof *successors);
    keys = arena_take(TABLE_ENTRIES * sizeof *keys);
}

void block_open(uint64_t tick, uint64_t inputs)
{
    first_inputs = last_inputs = inputs;
    block_serial++;
    first_tick = tick;
    block_row_tick = tick - 1;
    ticks = 0;
    for (int i = 0; i < BLOCK_COLUMNS; i++)
        block_columns[i].size = 0;
    map_clear(&strings);
    map_clear(&values);
    key_count = 0;
    memset(last_ints, 0, sizeof last_ints);
    string_count = code_count = place_count = value_count = last_place = 0;
    last_address = last_value_address = 0;
}

bool block_is_full(void)
{
    if (ticks >= BLOCK_TICKS)
        return true;
    if (ticks % 64)
        return false;
    size_t size = 0;
    for (int i = 0; i < BLOCK_COLUMNS; i++)
        size += block_columns[i].size;
    return size >= BLOCK_BYTES;
}

/* By radix. The C library's qsort() takes memory from the program's heap. */
static void sort(uint32_t *numbers, size_t n)
{
    uint32_t *from = numbers, *to = arena_borrow((n + 1) * sizeof *to), *spare = to;
    for (unsigned shift = 0; shift < 32; shift += 8) {
        size_t ends[257] = {0};
        for (size_t i = 0; i < n; i++)
            ends[(from[i] >> shift & 255) + 1]++;
        for (size_t digit = 1; digit < 257; digit++)
            ends[digit] += ends[digit - 1];
        for (size_t i = 0; i < n; i++)
            to[ends[from[i] >> shift & 255]++] = from[i];
        uint32_t *done = to;
        to = from;
        from = done;
    }
    arena_return(spare, (n + 1) * sizeof *spare); /* four passes: the result is where it began */
}

/* Each of the keys once, in order. */
static void sort_keys(void)
{
    size_t n = 0;
    sort(keys, key_count);
    for (size_t i = 0; i < key_count; i++)
        if (!n || keys[i] != keys[n - 1])
            keys[n++] = keys[i];
    key_count = n;
}

static void put_keys(void)
{
    sort_keys();
    put_bytes(COLUMN_KEYS, keys, key_count * sizeof *keys);
}

/* Nobody reads any more: the process is of no use. */
static void write_all(struct iovec *parts, int count)
{
    while (count > 0) {
        ssize_t n = writev(out, parts, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            _exit(0);
        while (count > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
}

static unsigned char *add_varint(unsigned char *at, uint64_t number)
{
    for (; number >= 128; number >>= 7)
        *at++ = (unsigned char)(number | 128);
    *at++ = (unsigned char)number;
    return at;
}

void block_send(void)
{
    unsigned char head[4 + 5 + 10 * (4 + BLOCK_COLUMNS)], *at = head + 4;
    struct iovec parts[1 + BLOCK_COLUMNS];
    if (!ticks)
        return;
    put_keys();
    memcpy(at, BLOCK_MAGIC, 4);
    at[4] = BLOCK_VERSION;
    at = add_varint(add_varint(add_varint(add_varint(at + 5, first_tick), ticks), observed), first_inputs);
    size_t size = 0;
    for (int i = 0; i < BLOCK_COLUMNS; i++) {
        at = add_varint(at, block_columns[i].size);
        parts[1 + i] = (struct iovec){block_columns[i].bytes, block_columns[i].size};
        size += block_columns[i].size;
    }
    parts[0] = (struct iovec){head, (size_t)(at - head)};
    uint32_t whole = (uint32_t)(size + parts[0].iov_len - 4);
    memcpy(head, &whole, 4);
    write_all(parts, 1 + BLOCK_COLUMNS);
}

/* --- rows and lines ----------------------------------------------------------------------------------------- */

static void key_put(uint32_t key)
{
    if (key_count == TABLE_ENTRIES)
        sort_keys();
    if (key_count == TABLE_ENTRIES)
        control_fatal("The replay cannot be observed: too many keys in one block.");
    keys[key_count++] = key;
}

static uint32_t new_place(code_facts *facts, int line)
{
    uint32_t code = block_code(facts);
    block_put(COLUMN_PLACES, code);
    block_put_signed(COLUMN_PLACES, line - facts->first_line);
    block_key_text(FACT_LINE, facts->code->co_filename, NULL, (uint64_t)line);
    if (place_count + 1 >= TABLE_ENTRIES)
        control_fatal("The replay cannot be observed: too many places in one block.");
    successors[place_count] = 0;
    return place_count++;
}

void block_line(code_facts *facts, int line, uint64_t inputs)
{
    uint32_t place;
    if (inputs != last_inputs) {
        block_row(ROW_INPUT, first_tick + ticks - 1);
        block_put(COLUMN_CALLS, inputs - last_inputs);
        last_inputs = inputs;
    }
    if (line < facts->least_line || line > facts->most_line) {
        place = new_place(facts, line); /* code that was given other lines: each time anew */
    } else {
        struct line_place *known = &facts->places[line - facts->least_line];
        if (known->block != block_serial) {
            known->place = new_place(facts, line);
            known->block = block_serial;
        }
        place = known->place;
    }
    bool is_expected = ticks > 0 && successors[last_place] == place + 1;
    block_put(COLUMN_LINES, is_expected ? 0 : place + 1);
    if (ticks > 0)
        successors[last_place] = place + 1;
    last_place = place;
    ticks++;
}

/* --- tables --------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *bytes, size_t size)
{
    uint64_t word, hash = size * 0x9E3779B97F4A7C15u;
    for (; size >= sizeof word; size -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = mix_word(hash ^ word) * 31;
    }
    for (word = 0; size > 0; size--)
        word = word << 8 | (unsigned char)bytes[size - 1];
    hash = mix_word(hash ^ word);
    return hash ? hash : 1;
}

uint32_t block_string(const char *bytes, size_t size)
{
    uint64_t hash = hash_of(bytes, size), found;
    while ((found = map_get(&strings, hash)) != 0) {
        string_entry *e = &string_entries[found - 1];
        if (e->size == size && memcmp(block_columns[COLUMN_STRINGS].bytes + e->at, bytes, size) == 0)
            return (uint32_t)found - 1;
        hash = hash + 1 ? hash + 1 : 1;
    }
    if (string_count == TABLE_ENTRIES)
        control_fatal("The replay cannot be observed: too many texts in one block.");
    block_put(COLUMN_STRINGS, size);
    string_entries[string_count] = (string_entry){(uint32_t)block_columns[COLUMN_STRINGS].size, (uint32_t)size};
    put_bytes(COLUMN_STRINGS, bytes, size);
    map_put(&strings, hash, ++string_count);
    return string_count - 1;
}

uint32_t block_str(PyObject *text)
{
    char bytes[TEXT_BYTES];
    bool cut = false;
    return block_string(bytes, PyUnicode_Check(text) ? render_text(text, bytes, sizeof bytes, &cut) : 0);
}

uint32_t block_code(code_facts *facts)
{
    PyCodeObject *code = facts->code;
    if (facts->block == block_serial)
        return facts->number;
    uint32_t file = block_str(code->co_filename), name = block_str(code->co_qualname);
    block_put(COLUMN_CODES, file);
    block_put(COLUMN_CODES, name);
    block_put(COLUMN_CODES, (uint64_t)facts->first_line);
    block_put(COLUMN_CODES, (facts->is_visible ? CODE_VISIBLE : 0) | (facts->is_generator ? CODE_GENERATOR : 0) |
                                (facts->is_full ? CODE_FULL : 0) | (facts->has_namespace ? CODE_NAMESPACE : 0) |
                                (facts->sites_lost ? CODE_SITES_LOST : 0));
    uint32_t slots = facts->is_full ? facts->slots : 0;
    block_put(COLUMN_CODES, slots);
    for (uint32_t i = 0; i < slots; i++)
        block_put(COLUMN_CODES, (uint64_t)block_str(PyTuple_GET_ITEM(code->co_localsplusnames, i)) << 1 | slot_is_cell(facts, i));
    facts->block = block_serial;
    facts->number = code_count++;
    facts->keyed = false;
    facts->keyed_slots = 0;
    return facts->number;
}

void block_address(uintptr_t address)
{
    intptr_t now = (intptr_t)(address >> 3);
    block_put_signed(COLUMN_STORES, now - (intptr_t)last_address);
    last_address = (uintptr_t)now;
}

void block_old_frame(uint64_t id, uintptr_t address, code_facts *facts, uint64_t last, int line)
{
    uint32_t code = block_code(facts);
    block_put(COLUMN_FRAMES, id);
    block_put(COLUMN_FRAMES, address >> 3);
    block_put(COLUMN_FRAMES, code);
    block_put(COLUMN_FRAMES, last);
    block_put(COLUMN_FRAMES, (uint64_t)(line > 0 ? line : 0));
}

/* --- values --------------------------------------------------------------------------------------------------- */

static void put_entry(const value_entry *e)
{
    uint64_t hash = mix_word(mix_word(e->address ^ (uint64_t)e->text << 40) + e->type * 8 + e->flags), found;
    hash = hash ? hash : 1;
    while ((found = map_get(&values, hash)) != 0 && memcmp(&value_entries[found - 1], e, sizeof *e) != 0)
        hash = hash + 1 ? hash + 1 : 1;
    if (!found) {
        if (value_count == TABLE_ENTRIES)
            control_fatal("The replay cannot be observed: too many values in one block.");
        value_entries[value_count] = *e;
        block_put(COLUMN_TABLE, e->type);
        block_put_signed(COLUMN_TABLE, (intptr_t)(e->address >> 3) - (intptr_t)last_value_address);
        block_put(COLUMN_TABLE, e->text);
        block_put(COLUMN_TABLE, e->flags);
        last_value_address = e->address >> 3;
        map_put(&values, hash, found = ++value_count);
    }
    block_put(COLUMN_VALUES, VALUE_TABLE + found - 1);
}

void block_rendered(PyObject *value, const rendering *text)
{
    value_entry e = {.type = block_type_of(Py_TYPE(value))->name, .text = block_string(text->bytes, text->size)};
    e.flags = (text->cut ? VALUE_CUT : 0) | (value_is_mutable(value) ? VALUE_MUTABLE : 0);
    e.address = value_is_atom(value) && !text->cut ? 0 : (uintptr_t)value;
    put_entry(&e);
}

static void put_other(PyObject *value)
{
    const block_type *type = block_type_of(Py_TYPE(value));
    rendering text;
    if (type->is_opaque) {
        put_entry(&(value_entry){(uintptr_t)value, type->name, type->shown, type->is_cut ? VALUE_CUT : 0, 0});
        return;
    }
    render_value(value, &text);
    block_rendered(value, &text);
}

void block_value(PyObject *value, uint32_t place)
{
    int64_t number;
    if (!value) {
        block_put(COLUMN_VALUES, VALUE_UNBOUND);
    } else if (value_is_small_int(value, &number)) {
        int64_t *last = &last_ints[place < 256 ? place : place % INT_PLACES];
        block_put(COLUMN_VALUES, VALUE_INT);
        block_put_signed(COLUMN_INTS, number - *last);
        *last = number;
    } else if (PyFloat_CheckExact(value)) {
        double exact = PyFloat_AS_DOUBLE(value);
        block_put(COLUMN_VALUES, VALUE_FLOAT);
        put_bytes(COLUMN_FLOATS, &exact, sizeof exact);
    } else if (value == Py_None || PyBool_Check(value)) {
        block_put(COLUMN_VALUES, value == Py_None ? VALUE_NONE : value == Py_True ? VALUE_TRUE : VALUE_FALSE);
    } else {
        put_other(value);
    }
}

/* --- keys ----------------------------------------------------------------------------------------------------- */

static key_hash add_str(key_hash hash, PyObject *text)
{
    char bytes[TEXT_BYTES];
    bool cut = false;
    return key_add_text(hash, bytes, PyUnicode_Check(text) ? render_text(text, bytes, sizeof bytes, &cut) : 0);
}

void block_key_text(enum fact_kind kind, PyObject *text, PyObject *second, uint64_t number)
{
    key_hash hash = add_str(key_begin(kind), text);
    if (second)
        hash = add_str(hash, second);
    if (kind == FACT_LINE)
        hash = key_add_number(hash, number);
    key_put(key_end(hash));
}

void block_key_bytes(enum fact_kind kind, const char *bytes, size_t size)
{
    key_hash hash = key_begin(kind);
    key_put(key_end(bytes ? key_add_text(hash, bytes, size) : hash));
}

/* Most stores are to what was stored to a moment ago. */
#define RECENT_KEYS 1024

void block_key_address(enum fact_kind kind, uintptr_t address, PyObject *name, uint32_t text)
{
    static struct {
        uintptr_t address;
        uint32_t kind, text, block;
    } recent[RECENT_KEYS], *known;
    known = &recent[mix_word(address ^ (uint64_t)text << 40 ^ (uint64_t)kind << 32) % RECENT_KEYS];
    if (known->block == block_serial && known->address == address && known->kind == kind && known->text == text)
        return;
    known->block = block_serial;
    known->address = address;
    known->kind = kind;
    known->text = text;
    key_hash hash = key_add_number(key_begin(kind), address);
    if (name)
        hash = add_str(hash, name);
    key_put(key_end(hash));
}
