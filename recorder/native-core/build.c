/* The identity of builds. Linux only: the linker's build ids of ELF files. */
#define _GNU_SOURCE
#include "build.h"
#include "core.h"

#include <link.h>
#include <stdbool.h>
#include <string.h>

typedef struct {
    char text[160]; /* ids as hexadecimal digits, a space between two */
    size_t size;
    bool past_first;
} build_ids;

static void add_id(build_ids *ids, const unsigned char *id, size_t size)
{
    if (ids->size + 2 * size + 2 > sizeof ids->text)
        return;
    if (ids->size)
        ids->text[ids->size++] = ' ';
    for (size_t i = 0; i < size; i++) {
        ids->text[ids->size++] = "0123456789abcdef"[id[i] >> 4];
        ids->text[ids->size++] = "0123456789abcdef"[id[i] & 15];
    }
}

static size_t aligned(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

/* Finds the build id among the notes of a loaded file. */
static void read_notes(build_ids *ids, const unsigned char *notes, size_t size)
{
    ElfW(Nhdr) note;
    while (size >= sizeof note) {
        memcpy(&note, notes, sizeof note);
        size_t name = aligned(note.n_namesz), whole = sizeof note + name + aligned(note.n_descsz);
        if (whole > size)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + sizeof note, "GNU", 4) == 0) {
            add_id(ids, notes + sizeof note + name, note.n_descsz);
            return;
        }
        notes += whole;
        size -= whole;
    }
}

/* The program comes first; its interpreter may be in a library. */
static int visit(struct dl_phdr_info *file, size_t Py_UNUSED(size), void *data)
{
    build_ids *ids = data;
    const char *name = strrchr(file->dlpi_name, '/');
    bool wanted = !ids->past_first || strncmp(name ? name + 1 : file->dlpi_name, "libpython", 9) == 0;
    ids->past_first = true;
    for (int i = 0; wanted && i < file->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &file->dlpi_phdr[i];
        if (part->p_type == PT_NOTE)
            read_notes(ids, (const unsigned char *)(file->dlpi_addr + part->p_vaddr), part->p_memsz);
    }
    return 0;
}

static PyObject *interpreter_build(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    build_ids ids = {.size = 0};
    dl_iterate_phdr(visit, &ids);
    return PyUnicode_FromStringAndSize(ids.text, (Py_ssize_t)ids.size);
}

static PyMethodDef functions[] = {
    {"interpreter_build", interpreter_build, METH_NOARGS,
     "interpreter_build() -> str: the linker's build ids of this Python's program and library; empty: they have none."},
    {0},
};

int build_register(PyObject *module)
{
    return PyModule_AddStringConstant(module, "sources", core_sources) < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
