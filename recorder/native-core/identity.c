#include "identity.h"
#include "branch.h"
#include "control.h"
#include "rehash.h"
#include "replay.h"

#include <stdbool.h>
#include <string.h>
#include <structmember.h>

typedef struct {
    PyObject *object; /* NULL: free; GRAVE: was in use, chains go on */
    Py_hash_t hash;
} mark;

#define GRAVE ((PyObject *)1)

static mark *marks;
static size_t marks_size, marks_used; /* used counts graves */
static Py_hash_t next_hash = 1;
static hashfunc pointer_hash;        /* CPython's own */
static destructor subtype_dealloc;

/* --- the table ------------------------------------------------------------------------------------ */

static inline size_t home(const PyObject *object)
{
    return (((uintptr_t)object >> 4) * 0x9E3779B97F4A7C15ull) >> 24;
}

static mark *find(const PyObject *object)
{
    for (size_t i = home(object);; i++) {
        mark *m = &marks[i & (marks_size - 1)];
        if (m->object == object)
            return m;
        if (!m->object)
            return NULL;
    }
}

static void insert(mark *table, size_t size, mark entry)
{
    size_t i = home(entry.object);
    while (table[i & (size - 1)].object)
        i++;
    table[i & (size - 1)] = entry;
}

/* Graves go at each rebuild; the table at least doubles the room for what is alive. */
static int rebuild(void)
{
    size_t alive = 0;
    for (size_t i = 0; i < marks_size; i++)
        alive += marks[i].object && marks[i].object != GRAVE;
    size_t size = 4096;
    while (size < alive * 4)
        size *= 2;
    mark *table = calloc(size, sizeof *table);
    if (!table)
        return -1;
    for (size_t i = 0; i < marks_size; i++)
        if (marks[i].object && marks[i].object != GRAVE)
            insert(table, size, marks[i]);
    free(marks);
    marks = table;
    marks_size = size;
    marks_used = alive;
    return 0;
}

static inline void forget(PyObject *object)
{
    mark *m = find(object);
    if (m)
        m->object = GRAVE;
}

/* --- noticing deaths -------------------------------------------------------------------------------- */

typedef struct {
    PyTypeObject *type;
    destructor was, finalizer;
} watched_type;

static watched_type watched[1024];
static size_t watched_used;

static const watched_type *nearest_watched(PyTypeObject *type)
{
    for (; type; type = type->tp_base) {
        size_t i = home((PyObject *)type);
        for (; watched[i & 1023].type; i++)
            if (watched[i & 1023].type == type)
                return &watched[i & 1023];
    }
    Py_FatalError("retroscope: a watched type is not known");
}

/* Of the running thread. CPython limits how deep the deallocs of nested containers nest (its trashcan), by types whose
 * tp_dealloc is their own: it is not where we watch. So we limit it here: what dies too deep waits until the outermost
 * dealloc is over. */
static __thread identity_deaths dying;

#define DEEPEST 50

identity_deaths identity_exchange_deaths(identity_deaths deaths)
{
    identity_deaths before = dying;
    dying = deaths;
    return before;
}

/* False when there is no memory: then it dies at once after all. */
static bool wait_with(PyObject *object)
{
    if (dying.used == dying.size) {
        size_t size = dying.size ? dying.size * 2 : 64;
        PyObject **objects = realloc(dying.objects, size * sizeof *objects);
        if (!objects)
            return false;
        dying.objects = objects;
        dying.size = size;
    }
    bool tracked = PyObject_IS_GC(object) && PyObject_GC_IsTracked(object);
    if (tracked)
        PyObject_GC_UnTrack(object);
    dying.objects[dying.used++] = (PyObject *)((uintptr_t)object | tracked);
    return true;
}

static void watched_dealloc(PyObject *object);

static void end_waiting(void)
{
    dying.depth++; /* this is the outermost one */
    while (dying.used) {
        uintptr_t entry = (uintptr_t)dying.objects[--dying.used];
        PyObject *object = (PyObject *)(entry & ~(uintptr_t)1);
        if (entry & 1)
            PyObject_GC_Track(object);
        watched_dealloc(object);
    }
    dying.depth--;
}

static void watched_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    int goes_on = dying.object == object && dying.type == type;
    if (!goes_on && dying.depth >= DEEPEST && wait_with(object))
        return;
    const watched_type *found = nearest_watched(goes_on ? dying.level->tp_base : type);
    PyObject *outer = dying.object;
    PyTypeObject *outer_type = dying.type, *outer_level = dying.level;
    dying.object = object;
    dying.type = type;
    dying.level = found->type;
    forget(object);
    dying.depth++;
    found->was(object);
    dying.object = outer;
    dying.type = outer_type;
    dying.level = outer_level;
    if (--dying.depth == 0 && dying.used)
        end_waiting();
}

static destructor generator_finalizer;

static destructor finalizer_of(PyTypeObject *type)
{
    if (type == &PyGen_Type || type == &PyCoro_Type || type == &PyAsyncGen_Type)
        return generator_finalizer;
    const watched_type *found = nearest_watched(type);
    while (!found->finalizer)
        found = nearest_watched(found->type->tp_base);
    return found->finalizer;
}

/* A dealloc that runs the finalizer itself, as that of a generator, does so after we have forgotten the object. The
 * finalizer may call the program (sys.set_asyncgen_hooks), and that may ask for the hash: a mark once more, of an
 * object that is about to go unless it was kept. */
static void watched_finalizer(PyObject *object)
{
    Py_hash_t before = next_hash;
    finalizer_of(Py_TYPE(object))(object);
    if (next_hash != before && Py_REFCNT(object) == 1) /* that one is the dealloc's own */
        forget(object);
}

/* Of all types with such a dealloc these alone call the program as a rule; so they do not wait for the first mark, which
 * may be made in that very call. */
static void watch_generators(void)
{
    generator_finalizer = PyGen_Type.tp_finalize;
    PyGen_Type.tp_finalize = PyCoro_Type.tp_finalize = PyAsyncGen_Type.tp_finalize = watched_finalizer;
}

/* Itself, or a base whose dealloc it has inherited. Somebody else may have put a dealloc in front of ours (code_cache.c). */
static bool is_watched(PyTypeObject *type)
{
    for (PyTypeObject *t = type; t; t = type->tp_dealloc == watched_dealloc ? t->tp_base : NULL)
        for (size_t i = home((PyObject *)t); watched[i & 1023].type; i++)
            if (watched[i & 1023].type == t)
                return true;
    return false;
}

/* Instances of Python classes end in the dealloc of the nearest C type among the bases: that is watched. */
static int watch(PyTypeObject *type)
{
    while (type->tp_dealloc == subtype_dealloc && type->tp_base)
        type = type->tp_base;
    if (is_watched(type))
        return 0;
    if (watched_used > 900)
        return -1;
    size_t i = home((PyObject *)type);
    while (watched[i & 1023].type)
        i++;
    bool finalizes = type->tp_finalize && type->tp_finalize != watched_finalizer;
    watched[i & 1023] = (watched_type){type, type->tp_dealloc, finalizes ? type->tp_finalize : NULL};
    watched_used++;
    type->tp_dealloc = watched_dealloc;
    if (finalizes)
        type->tp_finalize = watched_finalizer;
    return 0;
}

/* --- hashing ----------------------------------------------------------------------------------------- */

/* Numbers and strings die too fast to be watched: where the program asks for the hash of their address, as it does
 * of a NaN, that is an input. */
static Py_hash_t recorded_hash(PyObject *object)
{
    record_view record;
    Py_hash_t hash = pointer_hash(object);
    if (core_mode == MODE_RECORD) {
        record_writer w;
        int64_t value = hash;
        record_begin(&w, 0, KIND_ADDRESS, 0, 0);
        write_bytes(&w, "(\1\0\0\0i", 6);
        write_bytes(&w, &value, 8);
        return record_end(&w) < 0 ? -1 : hash;
    }
    if (core_mode != MODE_REPLAY || core_looking || branch_lacks_addresses())
        return hash;
    replay_expect_own(KIND_ADDRESS, &record);
    if (record.size != 14)
        replay_diverged("the recording has addresses in a repr where the program hashes a %s", Py_TYPE(object)->tp_name);
    int64_t value;
    memcpy(&value, record.payload + 6, 8);
    stream_take();
    return (Py_hash_t)value;
}

static int is_short_lived(PyObject *object)
{
    return PyFloat_Check(object) || PyLong_Check(object) || PyUnicode_Check(object) || PyBytes_Check(object) ||
           PyComplex_Check(object) || PyTuple_CheckExact(object);
}

Py_hash_t identity_hash(PyObject *object)
{
    if (core_is_elsewhere())
        return pointer_hash(object);
    if (is_short_lived(object))
        return core_hidden ? pointer_hash(object) : recorded_hash(object);
    mark *m = find(object);
    if (m)
        return m->hash;
    if (core_hidden) /* our own code must leave no mark: replay would not leave the same */
        return pointer_hash(object);
    if ((marks_used * 2 >= marks_size && rebuild() < 0) || watch(Py_TYPE(object)) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    mark entry = {object, next_hash++};
    insert(marks, marks_size, entry);
    marks_used++;
    return entry.hash;
}

static Py_hash_t combine(Py_hash_t a, Py_hash_t b)
{
    if (a == -1 || b == -1)
        return -1;
    Py_uhash_t h = (Py_uhash_t)a * 1000003 ^ (Py_uhash_t)b;
    return (Py_hash_t)h == -1 ? -2 : (Py_hash_t)h;
}

/* Bound methods hash by the addresses of their parts in CPython. */
static Py_hash_t method_hash(PyObject *method)
{
    return combine(identity_hash(PyMethod_GET_SELF(method)), PyObject_Hash(PyMethod_GET_FUNCTION(method)));
}

static Py_hash_t builtin_hash(PyObject *function)
{
    PyCFunctionObject *f = (PyCFunctionObject *)function;
    PyObject *name = PyUnicode_FromString(f->m_ml->ml_name);
    Py_hash_t h = name ? PyObject_Hash(name) : -1;
    Py_XDECREF(name);
    return f->m_self ? combine(identity_hash(f->m_self), h) : h;
}

static Py_hash_t wrapper_hash(PyObject *wrapper)
{
    struct { PyObject_HEAD PyObject *descriptor, *self; } *w = (void *)wrapper;
    return combine(identity_hash(w->self), identity_hash(w->descriptor));
}

static hashfunc float_hash, complex_hash;

static Py_hash_t number_hash(PyObject *number)
{
    double value = PyFloat_AS_DOUBLE(number);
    return value != value ? identity_hash(number) : float_hash(number);
}

static Py_hash_t pair_hash(PyObject *number)
{
    Py_complex value = ((PyComplexObject *)number)->cval;
    return value.real != value.real || value.imag != value.imag ? identity_hash(number) : complex_hash(number);
}

/* --- taking over -------------------------------------------------------------------------------------- */

static int replace_in_subtypes(PyTypeObject *type)
{
    if (type->tp_hash == pointer_hash) {
        type->tp_hash = identity_hash;
        identity_hash((PyObject *)type);
    }
    PyObject *subtypes = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    if (!subtypes)
        return -1;
    int failed = 0;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(subtypes); i++)
        failed = replace_in_subtypes((PyTypeObject *)PyList_GET_ITEM(subtypes, i));
    Py_DECREF(subtypes);
    return failed;
}

static int replace_in_wrapper(PyTypeObject *type, void *function);

static int replace_hash(PyTypeObject *type, hashfunc now)
{
    hashfunc was = type->tp_hash;
    PyObject *subtypes = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    int failed = subtypes ? 0 : -1;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(subtypes); i++) {
        PyTypeObject *subtype = (PyTypeObject *)PyList_GET_ITEM(subtypes, i);
        if (subtype->tp_hash == was)
            failed = replace_hash(subtype, now);
    }
    Py_XDECREF(subtypes);
    type->tp_hash = now;
    return failed || replace_in_wrapper(type, (void *)now) < 0 ? -1 : 0;
}

/* New classes that say `__hash__ = object.__hash__` take the function out of this wrapper. */
static int replace_in_wrapper(PyTypeObject *type, void *function)
{
    PyObject *dict = PyObject_GetAttrString((PyObject *)type, "__dict__");
    PyObject *wrapper = dict ? PyMapping_GetItemString(dict, "__hash__") : NULL;
    if (wrapper && Py_IS_TYPE(wrapper, &PyWrapperDescr_Type) && PyDescr_TYPE(wrapper) == type)
        ((PyWrapperDescrObject *)wrapper)->d_wrapped = function;
    int failed = !wrapper && !PyErr_ExceptionMatches(PyExc_KeyError);
    if (!wrapper && !failed)
        PyErr_Clear(); /* a subclass without one of its own */
    Py_XDECREF(wrapper);
    Py_XDECREF(dict);
    return failed ? -1 : 0;
}

static PyObject *take_over(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyTypeObject *python_class, *wrapper_type;
    PyObject *objects;
    if (!PyArg_ParseTuple(args, "O!O!O!", &PyType_Type, &python_class, &PyType_Type, &wrapper_type, &PyList_Type, &objects))
        return NULL;
    if (rebuild() < 0)
        return PyErr_NoMemory();
    subtype_dealloc = python_class->tp_dealloc;
    pointer_hash = PyBaseObject_Type.tp_hash;
    watch_generators();
    int failed = replace_in_subtypes(&PyBaseObject_Type) < 0 ||
                 replace_in_wrapper(&PyBaseObject_Type, (void *)identity_hash) < 0;
    PyMethod_Type.tp_hash = method_hash;
    PyCFunction_Type.tp_hash = builtin_hash;
    wrapper_type->tp_hash = wrapper_hash;
    float_hash = PyFloat_Type.tp_hash;
    complex_hash = PyComplex_Type.tp_hash;
    /* Not when its module is loaded: _decimal has put one into a context by then. */
    failed = failed || replace_hash(&PyContextVar_Type, identity_hash) < 0;
    failed = failed || replace_hash(&PyFloat_Type, number_hash) < 0 || replace_hash(&PyComplex_Type, pair_hash) < 0 || replace_in_wrapper(&PyMethod_Type, (void *)method_hash) < 0 ||
             replace_in_wrapper(&PyCFunction_Type, (void *)builtin_hash) < 0 ||
             replace_in_wrapper(wrapper_type, (void *)wrapper_hash) < 0;
    int hidden = core_hidden;
    core_hidden = 0; /* these hashes are the program's */
    failed = failed || rehash(objects) < 0;
    core_hidden = hidden;
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

/* A C type that hashes by address, always or for some values (Decimal's NaN). */
static struct {
    PyTypeObject *type;
    hashfunc was;
} by_address[16];

static Py_hash_t address_hash(PyObject *object)
{
    hashfunc was = NULL;
    for (PyTypeObject *t = Py_TYPE(object); t && !was; t = t->tp_base)
        for (size_t i = 0; i < sizeof by_address / sizeof *by_address && !was; i++)
            if (by_address[i].type == t)
                was = by_address[i].was;
    Py_hash_t hash = was ? was(object) : pointer_hash(object);
    return !was || hash == pointer_hash(object) ? identity_hash(object) : hash;
}

static PyObject *by_identity(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyTypeObject *type;
    int always;
    if (!PyArg_ParseTuple(args, "O!p", &PyType_Type, &type, &always))
        return NULL;
    size_t i = 0;
    while (i < sizeof by_address / sizeof *by_address && by_address[i].type)
        i++;
    if (i == sizeof by_address / sizeof *by_address)
        return PyErr_Format(PyExc_RuntimeError, "too many types hash by address");
    by_address[i].type = (PyTypeObject *)Py_NewRef(type);
    by_address[i].was = always ? NULL : type->tp_hash;
    if (replace_hash(type, address_hash) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"identity_hashes", by_identity, METH_VARARGS,
     "identity_hashes(type, always): instances of a C type hash by identity, always or where its own hash is the address."},
    {"identity_take_over", take_over, METH_VARARGS,
     "identity_take_over(python_class, method_wrapper_type, objects): identity hashes by order of first hashing;\n"
     "objects (gc.get_objects()) are the containers and weak references that exist already."},
    {0},
};

int identity_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
