#define _GNU_SOURCE
#include "arena.h"

#include "control.h"

#include <string.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#define REGION_AT ((void *)((uintptr_t)1 << 45)) /* AddressSanitizer keeps its own memory below */
#else
#define REGION_AT ((void *)((uintptr_t)1 << 44))
#endif
#define REGION_BYTES ((size_t)1 << 36)
#define SIZES 64 /* pieces of up to so many times 64 bytes are reused; larger ones by powers of two */

static char *region;
static size_t used;

typedef struct piece {
    struct piece *next;
} piece;

static piece *spare[SIZES + 64];

bool arena_open(void)
{
    if (region)
        return true;
    void *at = mmap(REGION_AT, REGION_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (at != REGION_AT) {
        if (at != MAP_FAILED)
            munmap(at, REGION_BYTES);
        return false;
    }
    region = at;
    return true;
}

void *arena_take(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!region || size > REGION_BYTES - used)
        control_fatal("The replay cannot be observed any further: its observations take more than %zu GiB of memory.",
                      REGION_BYTES >> 30);
    void *at = region + used;
    used += size;
    return at;
}

bool arena_holds(const void *memory)
{
    return region && (const char *)memory >= region && (const char *)memory < region + REGION_BYTES;
}

/* Index of the list for pieces of this size, and how large those are. */
static size_t class_of(size_t size, size_t *whole)
{
    size_t steps = (size + 63) / 64;
    if (steps <= SIZES) {
        *whole = steps * 64;
        return steps ? steps - 1 : 0;
    }
    size_t bits = 0;
    while (((size_t)1 << bits) < size)
        bits++;
    *whole = (size_t)1 << bits;
    return SIZES + bits - 1 < SIZES + 63 ? SIZES + bits - 1 : SIZES + 63;
}

void *arena_borrow(size_t size)
{
    size_t whole, at = class_of(size ? size : 1, &whole);
    piece *found = spare[at];
    if (!found)
        return arena_take(whole);
    spare[at] = found->next;
    return memset(found, 0, size);
}

void arena_return(void *taken, size_t size)
{
    size_t whole, at = class_of(size ? size : 1, &whole);
    piece *given = taken;
    given->next = spare[at];
    spare[at] = given;
}

/* --- maps ----------------------------------------------------------------------------------------------- */

static void map_grow(word_map *map)
{
    word_map old = *map;
    size_t size = old.cells ? 2 * (old.mask + 1) : 64;
    map->cells = arena_borrow(size * 2 * sizeof *map->cells);
    map->mask = size - 1;
    for (size_t i = 0; old.cells && i <= old.mask; i++) {
        if (old.cells[2 * i])
            memcpy(map_cell(map, old.cells[2 * i]), &old.cells[2 * i], 2 * sizeof *old.cells);
    }
    if (old.cells)
        arena_return(old.cells, (old.mask + 1) * 2 * sizeof *old.cells);
}

void map_put(word_map *map, uint64_t key, uint64_t value)
{
    if (!map->cells || map->used * 2 > map->mask)
        map_grow(map);
    uint64_t *cell = map_cell(map, key);
    map->used += !cell[0];
    cell[0] = key;
    cell[1] = value;
}

/* Those behind it in the same run of cells move up, so that none is lost. */
void map_drop(word_map *map, uint64_t key)
{
    uint64_t *cell = map->cells ? map_cell(map, key) : NULL;
    if (!cell || !cell[0])
        return;
    size_t hole = (size_t)(cell - map->cells) / 2, at = hole;
    for (;;) {
        at = (at + 1) & map->mask;
        if (!map->cells[2 * at])
            break;
        size_t home = (size_t)mix_word(map->cells[2 * at]) & map->mask;
        if (((at - home) & map->mask) < ((at - hole) & map->mask))
            continue;
        memcpy(&map->cells[2 * hole], &map->cells[2 * at], 2 * sizeof *map->cells);
        hole = at;
    }
    map->cells[2 * hole] = map->cells[2 * hole + 1] = 0;
    map->used--;
}

void map_clear(word_map *map)
{
    if (map->cells && map->used)
        memset(map->cells, 0, (map->mask + 1) * 2 * sizeof *map->cells);
    map->used = 0;
}
