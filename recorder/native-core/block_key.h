/* The hash by which an index finds blocks: u32 of a fact's kind and what it is about. Two facts may share one. */
#ifndef RETROSCOPE_BLOCK_KEY_H
#define RETROSCOPE_BLOCK_KEY_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t key_hash;

static inline key_hash key_add(key_hash hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001B3u; /* FNV-1a */
    return hash;
}

static inline key_hash key_begin(uint32_t kind)
{
    return key_add(0xCBF29CE484222325u, &kind, sizeof kind);
}

/* A text is closed, so that two texts in a row are never like two others. */
static inline key_hash key_add_text(key_hash hash, const char *bytes, size_t size)
{
    return (key_add(hash, bytes, size) ^ 0xFF) * 0x100000001B3u;
}

static inline key_hash key_add_number(key_hash hash, uint64_t number)
{
    return key_add(hash, &number, sizeof number);
}

static inline uint32_t key_end(key_hash hash)
{
    hash ^= hash >> 29;
    hash *= 0xBF58476D1CE4E5B9u;
    return (uint32_t)(hash >> 32);
}

#endif
