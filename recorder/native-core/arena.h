/* Memory of an observer, apart from every heap: what the observer keeps must not move the program's objects, so it
 * lies in a region of its own at a fixed place far from where the system puts mappings. Linux only.
 *
 * Nothing is given back to the system while the process lives. Records of frames are reused by size.
 */
#ifndef RETROSCOPE_ARENA_H
#define RETROSCOPE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reserves the region once: false where the system does not let it. */
bool arena_open(void);

/* Zeroed memory, aligned to 16 bytes, for ever. Ends the replay with a sentence when the region is used up. */
void *arena_take(size_t size);

/* Whether the memory is the arena's. */
bool arena_holds(const void *memory);

/* A piece that can be given back, zeroed when it is taken. */
void *arena_borrow(size_t size);
void arena_return(void *piece, size_t size);

/* A map of non-zero words to non-zero words, with open addressing; all zeros is an empty one. */
typedef struct {
    uint64_t *cells; /* pairs of key and value */
    size_t mask, used;
} word_map;

void map_put(word_map *map, uint64_t key, uint64_t value);
void map_drop(word_map *map, uint64_t key);
void map_clear(word_map *map);

static inline uint64_t mix_word(uint64_t word)
{
    word ^= word >> 32;
    word *= 0xD6E8FEB86659FD93u;
    return word ^ word >> 32;
}

/* The cell of the key, or the free one where it would go. */
static inline uint64_t *map_cell(const word_map *map, uint64_t key)
{
    size_t at = (size_t)mix_word(key) & map->mask;
    while (map->cells[2 * at] && map->cells[2 * at] != key)
        at = (at + 1) & map->mask;
    return &map->cells[2 * at];
}

/* 0: it has none. */
static inline uint64_t map_get(const word_map *map, uint64_t key)
{
    return map->cells ? map_cell(map, key)[1] : 0;
}

#endif
