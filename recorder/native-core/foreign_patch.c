#define _GNU_SOURCE
/* Exchanges the addresses through which loaded libraries call the C library. ELF, 64-bit. */
#include "allocations.h"
#include "boundary.h"
#include "foreign.h"
#include "foreign_locals.h"
#include "foreign_randomness.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#define RELOCATES_CALL R_X86_64_JUMP_SLOT
#define RELOCATES_ADDRESS R_X86_64_GLOB_DAT
#define RELOCATES_DATA R_X86_64_64
#else
#define RELOCATES_CALL R_AARCH64_JUMP_SLOT
#define RELOCATES_ADDRESS R_AARCH64_GLOB_DAT
#define RELOCATES_DATA R_AARCH64_ABS64
#endif

/* --- where exchanged calls land ------------------------------------------------------------------------ */

foreign_function foreign_real[FOREIGN_MOST];
static foreign_rule rules[FOREIGN_MOST];

static long land(unsigned function, const long *arguments)
{
    if (!(foreign_descriptions[function].flags & FOREIGN_ALWAYS) && !foreign_crosses())
        return foreign_pass(function, arguments);
    return rules[function] ? rules[function](function, arguments) : foreign_cross(function, arguments);
}

#define LAND(n) \
    static long land_##n(long a, long b, long c, long d, long e, long f, long g) \
    { \
        const long arguments[] = {a, b, c, d, e, f, g}; \
        return land(n, arguments); \
    }
#define TEN(n) LAND(n##0) LAND(n##1) LAND(n##2) LAND(n##3) LAND(n##4) LAND(n##5) LAND(n##6) LAND(n##7) LAND(n##8) LAND(n##9)
LAND(0) LAND(1) LAND(2) LAND(3) LAND(4) LAND(5) LAND(6) LAND(7) LAND(8) LAND(9)
TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(10) TEN(11) TEN(12) TEN(13) TEN(14) TEN(15)
TEN(16) TEN(17) TEN(18) TEN(19) TEN(20) TEN(21)
foreign_landing foreign_land[FOREIGN_MOST] = {
    land_0, land_1, land_2, land_3, land_4, land_5, land_6, land_7, land_8, land_9,
    land_10, land_11, land_12, land_13, land_14, land_15, land_16, land_17, land_18, land_19,
    land_20, land_21, land_22, land_23, land_24, land_25, land_26, land_27, land_28, land_29,
    land_30, land_31, land_32, land_33, land_34, land_35, land_36, land_37, land_38, land_39,
    land_40, land_41, land_42, land_43, land_44, land_45, land_46, land_47, land_48, land_49,
    land_50, land_51, land_52, land_53, land_54, land_55, land_56, land_57, land_58, land_59,
    land_60, land_61, land_62, land_63, land_64, land_65, land_66, land_67, land_68, land_69,
    land_70, land_71, land_72, land_73, land_74, land_75, land_76, land_77, land_78, land_79,
    land_80, land_81, land_82, land_83, land_84, land_85, land_86, land_87, land_88, land_89,
    land_90, land_91, land_92, land_93, land_94, land_95, land_96, land_97, land_98, land_99,
    land_100, land_101, land_102, land_103, land_104, land_105, land_106, land_107, land_108, land_109,
    land_110, land_111, land_112, land_113, land_114, land_115, land_116, land_117, land_118, land_119,
    land_120, land_121, land_122, land_123, land_124, land_125, land_126, land_127, land_128, land_129,
    land_130, land_131, land_132, land_133, land_134, land_135, land_136, land_137, land_138, land_139,
    land_140, land_141, land_142, land_143, land_144, land_145, land_146, land_147, land_148, land_149,
    land_150, land_151, land_152, land_153, land_154, land_155, land_156, land_157, land_158, land_159,
    land_160, land_161, land_162, land_163, land_164, land_165, land_166, land_167, land_168, land_169,
    land_170, land_171, land_172, land_173, land_174, land_175, land_176, land_177, land_178, land_179,
    land_180, land_181, land_182, land_183, land_184, land_185, land_186, land_187, land_188, land_189,
    land_190, land_191, land_192, land_193, land_194, land_195, land_196, land_197, land_198, land_199,
    land_200, land_201, land_202, land_203, land_204, land_205, land_206, land_207, land_208, land_209,
    land_210, land_211, land_212, land_213, land_214, land_215, land_216, land_217, land_218, land_219,
};

/* --- one library ---------------------------------------------------------------------------------------- */

typedef struct {
    const ElfW(Sym) *symbols;
    const char *strings;
    const ElfW(Rela) *lists[2];
    size_t sizes[2];  /* in bytes */
} library;

static const void *address(const struct dl_phdr_info *info, ElfW(Addr) value)
{
    return (const void *)(value < info->dlpi_addr ? info->dlpi_addr + value : value);
}

static void read_dynamic(const struct dl_phdr_info *info, const ElfW(Dyn) *d, library *found)
{
    for (; d->d_tag != DT_NULL; d++) {
        switch (d->d_tag) {
        case DT_SYMTAB: found->symbols = address(info, d->d_un.d_ptr); break;
        case DT_STRTAB: found->strings = address(info, d->d_un.d_ptr); break;
        case DT_JMPREL: found->lists[0] = address(info, d->d_un.d_ptr); break;
        case DT_PLTRELSZ: found->sizes[0] = d->d_un.d_val; break;
        case DT_RELA: found->lists[1] = address(info, d->d_un.d_ptr); break;
        case DT_RELASZ: found->sizes[1] = d->d_un.d_val; break;
        default: break;
        }
    }
}

/* Parts that the loader has made read-only are so again afterwards. */
static bool exchange(const struct dl_phdr_info *info, void **slot, void *now)
{
    long page = sysconf(_SC_PAGESIZE);
    uintptr_t at = (uintptr_t)slot, first = at & ~(uintptr_t)(page - 1);
    bool read_only = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begins = info->dlpi_addr + part->p_vaddr;
        read_only |= part->p_type == PT_GNU_RELRO && at >= begins && at < begins + part->p_memsz;
    }
    if (read_only && mprotect((void *)first, (size_t)page, PROT_READ | PROT_WRITE) < 0)
        return false;
    *slot = now;
    return !read_only || mprotect((void *)first, (size_t)page, PROT_READ) == 0;
}

/* Functions that stay out of the record: memory that extensions ask for may run out as well, and in replay it is not the
 * operating system that tells threads apart. */
static bool patch_unrecorded(const struct dl_phdr_info *info, const char *name, void **slot, bool is_call)
{
    void *real, *ours = allocations_exchange(name, &real);
    if (!ours)
        ours = foreign_locals_exchange(name, &real);
    if (ours && *slot && (is_call || *slot == real))
        exchange(info, slot, ours);
    return ours != NULL;
}

static void patch_list(const struct dl_phdr_info *info, const library *l, const ElfW(Rela) *list, size_t size)
{
    for (const ElfW(Rela) *r = list; r && size >= sizeof *r; r++, size -= sizeof *r) {
        unsigned kind = ELF64_R_TYPE(r->r_info);
        const ElfW(Sym) *symbol = &l->symbols[ELF64_R_SYM(r->r_info)];
        bool refers = kind == RELOCATES_CALL || kind == RELOCATES_ADDRESS || (kind == RELOCATES_DATA && !r->r_addend);
        if (!refers || !ELF64_R_SYM(r->r_info) || symbol->st_shndx != SHN_UNDEF)
            continue;
        void **slot = (void **)(info->dlpi_addr + r->r_offset);
        if (patch_unrecorded(info, l->strings + symbol->st_name, slot, kind == RELOCATES_CALL))
            continue;
        int function = foreign_find(l->strings + symbol->st_name);
        /* A weak symbol may be absent; a name may be another library's own. Unbound calls point into the library. */
        if (function >= 0 && foreign_descriptions[function].flags & FOREIGN_NAMED)
            continue;
        if (function >= 0 && foreign_real[function] && *slot && (kind == RELOCATES_CALL || *slot == (void *)foreign_real[function]))
            exchange(info, slot, (void *)foreign_land[function]);
    }
}

/* --- all of them ---------------------------------------------------------------------------------------- */

#define MOST_LIBRARIES 4096

static ElfW(Addr) seen[MOST_LIBRARIES];
static unsigned seen_count;
static unsigned long long loads; /* the loader's own count when we last looked */

/* Libraries that came since, which may bring an OpenSSL: the loader must not be asked while it is being walked through. */
static struct dl_phdr_info fresh[MOST_LIBRARIES];
static unsigned fresh_count;

static bool is_new(const struct dl_phdr_info *info)
{
    for (unsigned i = 0; i < seen_count; i++)
        if (seen[i] == info->dlpi_addr)
            return false;
    if (seen_count == MOST_LIBRARIES)
        return false;
    seen[seen_count++] = info->dlpi_addr;
    return true;
}

/* The C library's own parts call each other as they please. */
static bool is_system(const char *path)
{
    static const char *const names[] = {"ld-linux", "libc.so", "libc-", "libm.so", "libm-", "libpthread", "libdl", "librt",
                                        "libutil", "libresolv", "linux-vdso", "libpython", "libgcc_s", "libnss_"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return *name == 0;
}

static int visit(struct dl_phdr_info *info, size_t Py_UNUSED(size), void *pass)
{
    loads = info->dlpi_adds;
    if (!is_new(info) || is_system(info->dlpi_name))
        return 0;
    if (core_mode == MODE_REPLAY)
        foreign_locals_know(info);
    if (pass)
        return 0;
    library found = {0};
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            read_dynamic(info, (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr), &found);
    if (found.symbols && found.strings)
        for (int i = 0; i < 2; i++)
            patch_list(info, &found, found.lists[i], found.sizes[i]);
    fresh[fresh_count++] = *info;
    return 0;
}

static int changed(struct dl_phdr_info *info, size_t Py_UNUSED(size), void *answer)
{
    *(bool *)answer = info->dlpi_adds != loads;
    return 1;
}

static void find_real(void)
{
    for (unsigned i = 0; i < foreign_count; i++) {
        foreign_real[i] = (foreign_function)dlsym(RTLD_DEFAULT, foreign_descriptions[i].name);
        rules[i] = foreign_rule_of(foreign_descriptions[i].name);
    }
}

void foreign_patch_loaded(bool pass)
{
    bool news = false;
    dl_iterate_phdr(changed, &news);
    if (!news)
        return;
    if (!pass)
        find_real(); /* libraries may have come that hold more of them */
    dl_iterate_phdr(visit, pass ? &news : NULL);
    for (; fresh_count; fresh_count--)
        foreign_randomness_give(&fresh[fresh_count - 1]);
}

/* --- for Python ------------------------------------------------------------------------------------------- */

static PyObject *loads_library(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *path;
    int pass;
    if (!PyArg_ParseTuple(args, "O&p", PyUnicode_FSConverter, &path, &pass))
        return NULL;
    /* What this tells the stream must not depend on whether the library can be loaded here. */
    bool defined = pass || foreign_define() == 0;
    if (defined && PyBytes_GET_SIZE(path) && dlopen(PyBytes_AS_STRING(path), RTLD_NOW) == NULL)
        dlerror(); /* the import will say so itself */
    Py_DECREF(path);
    if (!defined)
        return NULL;
    foreign_patch_loaded(pass);
    Py_RETURN_NONE;
}

static PyObject *draws_randomness(PyObject *Py_UNUSED(module), PyObject *path)
{
    PyObject *name;
    if (!PyUnicode_FSConverter(path, &name))
        return NULL;
    bool ours = foreign_randomness_is_ours(PyBytes_AS_STRING(name));
    Py_DECREF(name);
    return PyBool_FromLong(ours);
}

static PyMethodDef functions[] = {
    {"foreign_randomness", draws_randomness, METH_O,
     "foreign_randomness(path) -> bool: does the OpenSSL in this loaded library take its random numbers from us?"},
    {"foreign_load", loads_library, METH_VARARGS,
     "foreign_load(path, pass_): loads a library early; its calls of the C library, and those of all it brings with it,\n"
     "are at the boundary from now on, unless pass_. An empty path: those of what has been loaded since."},
    {0},
};

int foreign_register(PyObject *module)
{
    foreign_patch_loaded(true); /* the interpreter, the C library, ourselves */
    return PyModule_AddFunctions(module, functions);
}
