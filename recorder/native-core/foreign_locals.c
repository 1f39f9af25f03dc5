#define _GNU_SOURCE
#include "foreign_locals.h"
#include "control.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BLOCKS 256

/* What the C library's __tls_get_addr takes. */
typedef struct {
    unsigned long module, offset;
} place;

extern void *__tls_get_addr(place *);

static struct {
    unsigned long module;
    const char *image;         /* what the variables are before a thread has changed them … */
    size_t image_size, size;   /* … and zeros after that */
} blocks[MOST_BLOCKS];
static unsigned block_count;

struct foreign_locals {
    unsigned count; /* blocks that there were when it was taken */
    char *data[MOST_BLOCKS];
};

void foreign_locals_know(const struct dl_phdr_info *library)
{
    for (int i = 0; i < library->dlpi_phnum && block_count < MOST_BLOCKS; i++) {
        const ElfW(Phdr) *part = &library->dlpi_phdr[i];
        if (part->p_type != PT_TLS || !library->dlpi_tls_modid || !part->p_memsz)
            continue;
        blocks[block_count].module = library->dlpi_tls_modid;
        blocks[block_count].image = (const char *)(library->dlpi_addr + part->p_vaddr);
        blocks[block_count].image_size = part->p_filesz;
        blocks[block_count].size = part->p_memsz;
        block_count++;
    }
}

static char *address(unsigned i)
{
    place start = {blocks[i].module, 0};
    return __tls_get_addr(&start);
}

foreign_locals *foreign_locals_take(foreign_locals *kept)
{
    if (!block_count)
        return kept;
    if (!kept)
        kept = calloc(1, sizeof *kept);
    for (unsigned i = 0; kept && i < block_count; i++) {
        if (!kept->data[i])
            kept->data[i] = malloc(blocks[i].size);
        if (!kept->data[i])
            control_fatal("No memory for the thread-local variables of extensions.");
        memcpy(kept->data[i], address(i), blocks[i].size);
    }
    if (!kept)
        control_fatal("No memory for the thread-local variables of extensions.");
    kept->count = block_count;
    return kept;
}

void foreign_locals_put(const foreign_locals *kept)
{
    for (unsigned i = 0; i < block_count; i++) {
        char *now = address(i);
        if (kept && i < kept->count) {
            memcpy(now, kept->data[i], blocks[i].size);
        } else {
            memcpy(now, blocks[i].image, blocks[i].image_size);
            memset(now + blocks[i].image_size, 0, blocks[i].size - blocks[i].image_size);
        }
    }
}

void foreign_locals_free(foreign_locals *kept)
{
    for (unsigned i = 0; kept && i < kept->count; i++)
        free(kept->data[i]);
    free(kept);
}
