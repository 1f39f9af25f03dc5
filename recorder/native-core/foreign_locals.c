#define _GNU_SOURCE
#include "foreign_locals.h"
#include "control.h"
#include "foreign.h"
#include "locks.h"

#include <limits.h>
#include <pthread.h>
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

static pthread_key_t keys[PTHREAD_KEYS_MAX]; /* those under which extensions have kept something */
static unsigned key_count;
static unsigned deleted[PTHREAD_KEYS_MAX]; /* by key: how many times; then it is another one with the same number */

struct foreign_locals {
    unsigned count; /* blocks that there were when it was taken */
    char *data[MOST_BLOCKS];
    struct {
        void *value;
        unsigned deleted; /* as many times it had been then */
    } kept[PTHREAD_KEYS_MAX]; /* by key */
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

/* --- keys ------------------------------------------------------------------------------------------------------ */

static void know_key(pthread_key_t key)
{
    for (unsigned i = 0; i < key_count; i++)
        if (keys[i] == key)
            return;
    keys[key_count++] = key;
}

/* Its number may be given out anew, to somebody who is none of ours. */
static void forget_key(pthread_key_t key)
{
    deleted[key]++;
    for (unsigned i = 0; i < key_count; i++) {
        if (keys[i] == key) {
            keys[i] = keys[--key_count];
            return;
        }
    }
}

static int set_specific(pthread_key_t key, const void *value)
{
    int failed = pthread_setspecific(key, value);
    if (!failed)
        know_key(key);
    return failed;
}

static int delete_key(pthread_key_t key)
{
    int failed = pthread_key_delete(key);
    if (!failed)
        forget_key(key);
    return failed;
}

static int tss_set(Py_tss_t *key, void *value)
{
    int failed = PyThread_tss_set(key, value);
    if (!failed)
        know_key(key->_key);
    return failed;
}

static void tss_delete(Py_tss_t *key)
{
    if (PyThread_tss_is_created(key))
        forget_key(key->_key);
    PyThread_tss_delete(key);
}

/* The main thread's is the one it has: what ran before a library was known to us may have asked already. */
static pthread_t self(void)
{
    return core_thread == 1 || !foreign_crosses() ? pthread_self() : (pthread_t)thread_ident();
}

void *foreign_locals_exchange(const char *name, void **real)
{
    static const struct {
        const char *name;
        void *real, *ours;
    } functions[] = {
        {"pthread_self", pthread_self, self}, {"pthread_setspecific", pthread_setspecific, set_specific},
        {"pthread_key_delete", pthread_key_delete, delete_key}, {"PyThread_tss_set", PyThread_tss_set, tss_set},
        {"PyThread_tss_delete", PyThread_tss_delete, tss_delete},
    };
    for (size_t i = 0; core_mode == MODE_REPLAY && i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(name, functions[i].name) == 0) {
            *real = functions[i].real;
            return functions[i].ours;
        }
    }
    return NULL;
}

/* --- when contexts switch -------------------------------------------------------------------------------------- */

foreign_locals *foreign_locals_take(foreign_locals *kept)
{
    if (!block_count && !key_count)
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
    for (unsigned i = 0; i < key_count; i++) {
        kept->kept[keys[i]].value = pthread_getspecific(keys[i]);
        kept->kept[keys[i]].deleted = deleted[keys[i]];
    }
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
    for (unsigned i = 0; i < key_count; i++) {
        bool same = kept && kept->kept[keys[i]].deleted == deleted[keys[i]];
        pthread_setspecific(keys[i], same ? kept->kept[keys[i]].value : NULL);
    }
}

void foreign_locals_free(foreign_locals *kept)
{
    for (unsigned i = 0; kept && i < kept->count; i++)
        free(kept->data[i]);
    free(kept);
}
