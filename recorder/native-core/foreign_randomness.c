#define _GNU_SOURCE
#include "foreign_randomness.h"

#include "foreign.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTER "RAND_set_rand_method"
#define MOST_COPIES 32
#define LARGEST_REQUEST 256 /* what getrandom() gives without being interrupted */

/* --- the generator ----------------------------------------------------------------------------------------- */

/* OpenSSL's RAND_METHOD, the same since 1.0. */
typedef struct {
    int (*seed)(const void *data, int size);
    int (*bytes)(unsigned char *into, int size);
    void (*cleanup)(void);
    int (*add)(const void *data, int size, double entropy);
    int (*pseudorand)(unsigned char *into, int size);
    int (*status)(void);
} rand_method;

static long draw(void *into, size_t size)
{
    long arguments[FOREIGN_ARGUMENTS] = {(long)into, (long)size, 0, 0, 0, 0};
    return foreign_crosses() ? foreign_cross((unsigned)foreign_find("getrandom"), arguments) : getrandom(into, size, 0);
}

static int bytes(unsigned char *into, int size)
{
    while (size > 0) {
        int part = size < LARGEST_REQUEST ? size : LARGEST_REQUEST;
        if (draw(into, (size_t)part) != part)
            return 0;
        into += part;
        size -= part;
    }
    return 1;
}

static int seed(const void *data, int size)
{
    (void)data, (void)size;
    return 1;
}

static int add(const void *data, int size, double entropy)
{
    (void)data, (void)size, (void)entropy;
    return 1;
}

static int status(void)
{
    return 1;
}

static const rand_method ours = {seed, bytes, NULL, add, bytes, status};

/* --- finding it --------------------------------------------------------------------------------------------- */

/* The value of a function's symbol in an ELF file, 0: it has none. Wheels that link OpenSSL statically hide its symbols
 * from other libraries, but keep their names in the file. */
static ElfW(Addr) symbol_in(const char *file, size_t size, const char *name)
{
    const ElfW(Ehdr) *head = (const void *)file;
    if (size < sizeof *head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_shentsize != sizeof(ElfW(Shdr)) ||
        head->e_shoff > size || (size - head->e_shoff) / sizeof(ElfW(Shdr)) < head->e_shnum)
        return 0;
    const ElfW(Shdr) *sections = (const void *)(file + head->e_shoff);
    for (unsigned i = 0; i < head->e_shnum; i++) {
        const ElfW(Shdr) *table = &sections[i];
        const ElfW(Shdr) *text = table->sh_link < head->e_shnum ? &sections[table->sh_link] : NULL;
        bool fits = text && table->sh_offset <= size && table->sh_size <= size - table->sh_offset &&
                    text->sh_offset <= size && text->sh_size <= size - text->sh_offset;
        if (table->sh_type != SHT_SYMTAB || !fits)
            continue;
        const ElfW(Sym) *symbols = (const void *)(file + table->sh_offset);
        for (size_t s = 0; s < table->sh_size / sizeof *symbols; s++)
            if (symbols[s].st_shndx != SHN_UNDEF && symbols[s].st_name + strlen(name) < text->sh_size &&
                strcmp(file + text->sh_offset + symbols[s].st_name, name) == 0)
                return symbols[s].st_value;
    }
    return 0;
}

static void *hidden_setter(const struct dl_phdr_info *library)
{
    struct stat found;
    int fd = open(library->dlpi_name, O_RDONLY | O_CLOEXEC);
    size_t size = fd >= 0 && fstat(fd, &found) == 0 ? (size_t)found.st_size : 0;
    void *file = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (file == MAP_FAILED)
        return NULL;
    ElfW(Addr) value = symbol_in(file, size, SETTER);
    munmap(file, size);
    return value ? (void *)(library->dlpi_addr + value) : NULL;
}

/* The one that the library itself holds, not one of a library that it needs. */
static void *shown_setter(const struct dl_phdr_info *library)
{
    void *handle = dlopen(library->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle)
        return NULL;
    Dl_info place;
    void *found = dlsym(handle, SETTER);
    dlclose(handle);
    return found && dladdr(found, &place) && (ElfW(Addr))place.dli_fbase == library->dlpi_addr ? found : NULL;
}

static const char *copies[MOST_COPIES]; /* paths that the loader keeps */
static unsigned copy_count;

void foreign_randomness_give(const struct dl_phdr_info *library)
{
    void *found = shown_setter(library);
    if (!found)
        found = hidden_setter(library);
    if (!found || copy_count == MOST_COPIES)
        return;
    int (*set)(const rand_method *) = (int (*)(const rand_method *))found;
    if (set(&ours))
        copies[copy_count++] = library->dlpi_name;
}

bool foreign_randomness_is_ours(const char *path)
{
    size_t n = strlen(path);
    for (unsigned i = 0; i < copy_count; i++) {
        size_t m = strlen(copies[i]);
        if (m >= n && strcmp(copies[i] + m - n, path) == 0)
            return true;
    }
    return false;
}
