#include "allocations.h"
#include "after_record.h"
#include "branch.h"
#include "control.h"
#include "count.h"
#include "decode.h"
#include "frames.h"
#include "signals.h"
#include "threads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL 512                /* bytes: pymalloc's SMALL_REQUEST_THRESHOLD, the same in 3.11 to 3.13 */
#define KEYS 4096                /* two that share a key are counted as one, on both sides */
#define LOOK_EVERY (64u << 20)   /* bytes of new memory between two looks at how much is used */
#define MARGIN (256u << 20)      /* bytes that a replay may use beyond what the recording did */

static PyMemAllocatorEx below;
static PyObjectArenaAllocator arenas_below;

/* Recording: how often memory was asked for under a key since the last record. */
static struct {
    uint32_t since, times;
} counted[KEYS];
static uint32_t since = 1;

/* Replay: the allocation that is to fail. */
static struct {
    uint64_t size; /* 0: none */
    uint32_t key, left;
} next;

/* Replay: how much may be used, and what to say then. */
static uint64_t machine_most, recorded_most, most, grown;
static const char *last_words;
static int last_words_size;

/* --- which one -------------------------------------------------------------------------------------------------- */

static bool holds_gil(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return frames_gil_held();
#else
    return PyGILState_Check();
#endif
}

/* Is it the program that asks, where records can be written and taken? */
static bool is_programs(void)
{
    return core_mode != MODE_OFF && !core_hidden && !core_looking && !branch_is_here && holds_gil() &&
           !threads_without_turn();
}

static uint32_t key_of(size_t size)
{
    const frame *f = frames_current();
    uint64_t mixed = ((uint64_t)size * 0x9E3779B97F4A7C15u ^ (f ? frames_instruction(f) : 0)) * 0xBF58476D1CE4E5B9u;
    return (uint32_t)(mixed >> 40) % KEYS;
}

void allocations_from_here(void)
{
    since++;
}

static uint32_t count(uint32_t key)
{
    if (counted[key].since != since) {
        counted[key].since = since;
        counted[key].times = 0;
    }
    return ++counted[key].times;
}

/* --- how much ---------------------------------------------------------------------------------------------------- */

/* Bytes of memory that are this process's own, 0 when the kernel does not tell. */
static uint64_t used(void)
{
    char text[128] = {0};
    unsigned long long resident = 0, shared = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0 || sscanf(text, "%*u %llu %llu", &resident, &shared) != 2 || shared > resident)
        return 0;
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* It cannot go on. Nothing is allocated here: what asks for memory may stand anywhere in the interpreter. */
static void stop(uint64_t bytes)
{
    if (after_record_tick != UINT64_MAX)
        control_cut_off();
    if (last_words)
        control_fatal("The recording ends to be exact at input %llu: %.*s.", (unsigned long long)stream_inputs,
                      last_words_size, last_words);
    if (next.size)
        control_fatal("The replay cannot go on after input %llu: an allocation of %llu bytes failed in the recording, and the "
                      "replay did not come to it.", (unsigned long long)stream_inputs, (unsigned long long)next.size);
    control_fatal("The replay cannot go on after input %llu: the program uses %llu MiB of memory there, and this machine has "
                  "no more to spare.", (unsigned long long)stream_inputs, (unsigned long long)(bytes >> 20));
}

static void look_at_use(size_t wanted)
{
    uint64_t bytes = used();
    grown = 0;
    if (bytes + wanted > most)
        stop(bytes);
}

/* Replay: before memory is given out. What the recording was given is touched perhaps, perhaps not: only where it cannot be
 * trusted any more, a large piece counts before it is used. */
static void account(size_t size)
{
    bool trusted = after_record_tick == UINT64_MAX && !last_words;
    if (core_looking || branch_is_here || !most || (grown += size) < LOOK_EVERY)
        return;
    look_at_use(trusted || size < LOOK_EVERY ? 0 : size);
}

/* --- failing ------------------------------------------------------------------------------------------------------- */

/* Once: from there on nothing is replayed. */
static void failed_without_name(size_t size)
{
    static bool told;
    record_writer w;
    char text[160];
    if (told)
        return;
    told = true;
    int n = snprintf(text, sizeof text, "memory ran out, in an allocation of %zu bytes of which nothing says which one it was",
                     size);
    record_begin(&w, 0, KIND_NOTE, FLAG_LOST, (uint32_t)(used() >> 20) + 1);
    write_bytes(&w, "s", 1);
    write_count(&w, (uint32_t)n);
    write_bytes(&w, text, (size_t)n);
    if (record_end(&w) < 0)
        PyErr_Clear(); /* it fits where records are small */
}

static void write_failed(uint64_t size, uint64_t which)
{
    const int64_t values[] = {0, -(int64_t)SIGNAL_ALLOCATION, (int64_t)size, (int64_t)which};
    record_writer w;
    record_begin(&w, 0, KIND_SIGNAL, 0, (uint32_t)count_so_far());
    write_bytes(&w, "(\4\0\0\0", 5);
    for (int i = 0; i < 4; i++) {
        write_bytes(&w, "i", 1);
        write_bytes(&w, &values[i], 8);
    }
    if (record_end(&w) < 0)
        PyErr_Clear(); /* it fits where records are small */
}

/* The recording was not given this memory, or (replay) this process was not. */
static void *failed(size_t size)
{
    if (!is_programs() || record_is_open)
        return NULL;
    if (core_mode == MODE_REPLAY)
        control_fatal("The replay cannot go on after input %llu: the program was given %zu bytes of memory in the recording, "
                      "and this machine has none to spare.", (unsigned long long)stream_inputs, size);
    if (size <= SMALL) {
        failed_without_name(size);
        return NULL;
    }
    uint32_t key = key_of(size);
    write_failed(size, (uint64_t)key << 32 | counted[key].times);
    return NULL;
}

/* Replay: is this the one? */
static bool fails(size_t size)
{
    if (!is_programs())
        return false;
    if (core_mode == MODE_RECORD) {
        count(key_of(size));
        return false;
    }
    if (!next.size || key_of(size) != next.key || --next.left || size != next.size)
        return false;
    next.size = 0;
    stream_take();
    return true;
}

static void lower(uint64_t recorded)
{
    if (recorded && (!most || recorded + MARGIN < most))
        most = recorded + MARGIN;
}

static void expect(const char *values)
{
    int64_t number, place, size, which;
    memcpy(&number, values + 1, 8);
    memcpy(&place, values + 10, 8);
    memcpy(&size, values + 19, 8);
    memcpy(&which, values + 28, 8);
    if (number != 0 || place != -(int64_t)SIGNAL_ALLOCATION)
        return;
    next.size = (uint64_t)size;
    next.key = (uint32_t)((uint64_t)which >> 32);
    next.left = (uint32_t)which;
    lower(recorded_most);
}

static void expect_the_end(const record_view *note)
{
    last_words = note->payload + 5;
    last_words_size = note->size > 1000 ? 1000 : (int)note->size - 5;
    lower((uint64_t)note->digest << 20);
}

void allocations_look_ahead(void)
{
    record_view record;
    next.size = 0;
    last_words = NULL;
    most = machine_most;
    int found = stream_peek(&record);
    if (found == 0)
        lower(recorded_most);
    else if (found < 0)
        return;
    else if (record.kind == KIND_SIGNAL && record.size == 41)
        expect(record.payload + 5);
    else if (record.kind == KIND_NOTE && record.flags & FLAG_LOST && record.digest && record.size > 5)
        expect_the_end(&record);
}

/* --- in the way of every allocation ------------------------------------------------------------------------------- */

/* Before the memory is asked for: false where it is to fail. */
static bool is_given(size_t size)
{
    if (size > SMALL && fails(size))
        return false;
    if (core_mode == MODE_REPLAY)
        account(size);
    return true;
}

static void *on_malloc(void *context, size_t size)
{
    if (!is_given(size))
        return NULL;
    void *memory = below.malloc(context, size);
    return memory ? memory : failed(size);
}

static size_t product(size_t n, size_t each)
{
    return n && each > SIZE_MAX / n ? SIZE_MAX : n * each;
}

static void *on_calloc(void *context, size_t n, size_t each)
{
    size_t size = product(n, each);
    if (!is_given(size))
        return NULL;
    void *memory = below.calloc(context, n, each);
    return memory ? memory : failed(size);
}

static void *on_realloc(void *context, void *memory, size_t size)
{
    if (!is_given(size))
        return NULL;
    void *moved = below.realloc(context, memory, size);
    return moved ? moved : failed(size);
}

static void *on_arena(void *context, size_t size)
{
    if (core_mode == MODE_REPLAY)
        account(size);
    return arenas_below.alloc(context, size);
}

void allocations_watch(void)
{
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &below);
    PyMemAllocatorEx ours = {below.ctx, on_malloc, on_calloc, on_realloc, below.free};
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &ours);
    PyObject_GetArenaAllocator(&arenas_below);
    PyObjectArenaAllocator our_arenas = {arenas_below.ctx, on_arena, arenas_below.free};
    PyObject_SetArenaAllocator(&our_arenas);
}

/* --- in the way of extensions ------------------------------------------------------------------------------------ */

static void *give(size_t size, void *memory)
{
    if (memory || !size)
        return memory;
    failed(size);
    errno = ENOMEM;
    return NULL;
}

static bool may_be_given(size_t size)
{
    bool is = is_given(size);
    if (!is)
        errno = ENOMEM;
    return is;
}

static void *foreign_malloc(size_t size)
{
    return may_be_given(size) ? give(size, malloc(size)) : NULL;
}

static void *foreign_calloc(size_t n, size_t each)
{
    size_t size = product(n, each);
    return may_be_given(size) ? give(size, calloc(n, each)) : NULL;
}

static void *foreign_realloc(void *memory, size_t size)
{
    if (size == 0)
        return realloc(memory, size);
    return may_be_given(size) ? give(size, realloc(memory, size)) : NULL;
}

static int foreign_posix_memalign(void **memory, size_t alignment, size_t size)
{
    if (!may_be_given(size))
        return ENOMEM;
    int error = posix_memalign(memory, alignment, size);
    if (error == ENOMEM)
        failed(size);
    return error;
}

static void *foreign_aligned_alloc(size_t alignment, size_t size)
{
    return may_be_given(size) ? give(size, aligned_alloc(alignment, size)) : NULL;
}

void *allocations_exchange(const char *name, void **real)
{
    static const struct {
        const char *name;
        void *real, *ours;
    } functions[] = {
        {"malloc", malloc, foreign_malloc}, {"calloc", calloc, foreign_calloc}, {"realloc", realloc, foreign_realloc},
        {"posix_memalign", posix_memalign, foreign_posix_memalign},
        {"aligned_alloc", aligned_alloc, foreign_aligned_alloc},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(name, functions[i].name) == 0) {
            *real = functions[i].real;
            return functions[i].ours;
        }
    }
    return NULL;
}

/* --- for Python ------------------------------------------------------------------------------------------------------ */

static PyObject *limit_memory(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned int machine, recorded;
    if (!PyArg_ParseTuple(args, "II", &machine, &recorded))
        return NULL;
    machine_most = most = (uint64_t)machine << 20;
    recorded_most = (uint64_t)recorded << 20;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"limit_memory", limit_memory, METH_VARARGS,
     "limit_memory(most, recorded): MiB that a replay process may use, and that the recording used; 0: no limit."},
    {0},
};

int allocations_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
