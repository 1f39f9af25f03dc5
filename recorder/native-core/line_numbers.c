#define _GNU_SOURCE
#include "line_numbers.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if PY_VERSION_HEX >= 0x030C0000

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- the table of lines ---------------------------------------------------------------------------------- */

/* Its form is described in CPython's Objects/locations.md: entries begin with a byte that has bit 7 set, four bits that
 * say what follows, and three with the number of code units less one. */
typedef struct {
    const uint8_t *next, *end;
    int line;     /* as counted so far */
    int shown;    /* of the entry just read; -1: none */
    int units;    /* that it is about */
} line_reader;

enum { ENTRY_SHORT_END = 10, ENTRY_ONE_LINE_END = 13, ENTRY_NO_COLUMNS = 13, ENTRY_LONG = 14, ENTRY_NONE = 15 };

static int read_signed(const uint8_t *p, const uint8_t *end)
{
    unsigned value = 0;
    for (unsigned shift = 0; p < end; p++, shift += 6) {
        value |= (unsigned)(*p & 63) << shift;
        if (!(*p & 64))
            break;
    }
    return value & 1 ? -(int)(value >> 1) : (int)(value >> 1);
}

static bool read_entry(line_reader *r)
{
    if (r->next >= r->end)
        return false;
    int kind = (*r->next >> 3) & 15;
    r->units = (*r->next & 7) + 1;
    if (kind >= ENTRY_SHORT_END && kind < ENTRY_ONE_LINE_END)
        r->line += kind - ENTRY_SHORT_END;
    else if (kind == ENTRY_NO_COLUMNS || kind == ENTRY_LONG)
        r->line += read_signed(r->next + 1, r->end);
    r->shown = kind == ENTRY_NONE ? -1 : r->line;
    do
        r->next++;
    while (r->next < r->end && !(*r->next & 128));
    return true;
}

static line_reader reader_of(PyCodeObject *code)
{
    const uint8_t *table = (const uint8_t *)PyBytes_AS_STRING(code->co_linetable);
    return (line_reader){table, table + PyBytes_GET_SIZE(code->co_linetable), code->co_firstlineno, -1, 0};
}

/* --- kept tables -------------------------------------------------------------------------------------------- */

#define FEWEST_BYTES 512  /* shorter tables are read again each time */
#define FIRST_PLACES 64   /* a power of two */
#define CODE_UNIT 2       /* bytes */

typedef struct {
    PyCodeObject *code; /* NULL: free; borrowed until the watcher tells of its end */
    int *lines;         /* by code unit; NULL: the code is gone, its place was taken */
    int units;
} kept_lines;

static kept_lines *kept;
static size_t places, taken;

static size_t place_of(const PyCodeObject *code)
{
    size_t at = ((uintptr_t)code >> 4) * 0x9E3779B97F4A7C15ull >> 20 & (places - 1);
    while (kept[at].code && kept[at].code != code)
        at = (at + 1) & (places - 1);
    return at;
}

static bool grow(void)
{
    kept_lines *old = kept;
    size_t n = places;
    kept_lines *more = calloc(n ? 2 * n : FIRST_PLACES, sizeof *more);
    if (!more)
        return false;
    kept = more;
    places = n ? 2 * n : FIRST_PLACES;
    taken = 0;
    for (size_t i = 0; i < n; i++)
        if (old[i].lines) {
            kept[place_of(old[i].code)] = old[i];
            taken++;
        }
    free(old);
    return true;
}

static int *read_lines(PyCodeObject *code, int units)
{
    int *lines = malloc((size_t)units * sizeof *lines);
    line_reader r = reader_of(code);
    int at = 0;
    while (lines && at < units && read_entry(&r))
        for (int i = 0; i < r.units && at < units; i++)
            lines[at++] = r.shown;
    while (lines && at < units)
        lines[at++] = -1;
    return lines;
}

/* The code's lines, or NULL: no memory. */
static const kept_lines *lines_of(PyCodeObject *code)
{
    if (taken * 2 >= places && !grow())
        return NULL;
    kept_lines *found = &kept[place_of(code)];
    if (!found->lines) {
        int units = (int)Py_SIZE(code);
        int *lines = read_lines(code, units);
        if (!lines)
            return NULL;
        taken += !found->code;
        *found = (kept_lines){code, lines, units};
    }
    return found;
}

static int code_changes(PyCodeEvent event, PyCodeObject *code)
{
    if (event == PY_CODE_EVENT_DESTROY && places) {
        kept_lines *gone = &kept[place_of(code)];
        free(gone->lines);
        gone->lines = NULL;
    }
    return 0;
}

/* --- in place of PyCode_Addr2Line ---------------------------------------------------------------------------- */

static int line_at(PyCodeObject *code, int offset)
{
    int unit = offset / CODE_UNIT, at = 0;
    if (offset < 0)
        return code->co_firstlineno;
    if (PyBytes_GET_SIZE(code->co_linetable) >= FEWEST_BYTES) {
        const kept_lines *lines = lines_of(code);
        if (lines)
            return unit < lines->units ? lines->lines[unit] : -1;
    }
    for (line_reader r = reader_of(code); read_entry(&r); at += r.units)
        if (unit < at + r.units)
            return r.shown;
    return -1;
}

#if defined(__x86_64__)
static size_t write_jump(uint8_t *into, const void *target)
{
    static const uint8_t jump[] = {0xF3, 0x0F, 0x1E, 0xFA, 0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xE0};
    memcpy(into, jump, sizeof jump); /* endbr64; movabs $target, %rax; jmp *%rax */
    memcpy(into + 6, &target, sizeof target);
    return sizeof jump;
}
#else
static size_t write_jump(uint8_t *into, const void *target)
{
    static const uint32_t jump[] = {0x58000050, 0xD61F0200}; /* ldr x16, .+8; br x16 */
    memcpy(into, jump, sizeof jump);
    memcpy(into + sizeof jump, &target, sizeof target);
    return sizeof jump + sizeof target;
}
#endif

int line_numbers_start(void)
{
    static bool started;
    uint8_t *function = (uint8_t *)(uintptr_t)PyCode_Addr2Line;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)function & ~(page - 1);
    size_t size = page * 2; /* the jump may cross into the next page */
    if (started)
        return 0;
    started = true;
    if (PyCode_AddWatcher(code_changes) < 0)
        return -1;
    if (mprotect((void *)first, size, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
        return 0;
    size_t written = write_jump(function, (const void *)(uintptr_t)line_at);
    mprotect((void *)first, size, PROT_READ | PROT_EXEC);
    __builtin___clear_cache((char *)function, (char *)function + written);
    return 0;
}

#else

int line_numbers_start(void)
{
    return 0; /* 3.11 goes on in the table where it stood */
}

#endif
