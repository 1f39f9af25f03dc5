#include "silent.h"
#include "deaths.h"
#include "pins.h"

#include <stdlib.h>

#define MOST_NESTED 50 /* untracked tuples in one another */
#define FEW 20000      /* survivors that are not worth a second look */

/* An object that might be garbage. */
typedef struct {
    PyGC_Head *head;
    int32_t references; /* from outside the candidates; above 0: alive. Garbage: 0, or SEEN in the root of a piece */
    uint32_t piece;     /* garbage: towards the root of the connected piece of garbage it belongs to */
} candidate;

#define SEEN (-1)

static candidate *candidates;
static size_t candidates_used;
static uint32_t *waiting; /* numbers of candidates: first those to look through, later those to free */
static size_t waiting_used;

/* Survivors since the last real collection, in the order of their birth. */
static PyGC_Head aside = {(uintptr_t)&aside, (uintptr_t)&aside};
static size_t aside_length, unexamined, examined; /* about; since the last wide collection; candidates of that one */

/* --- candidates ------------------------------------------------------------------------------------- */

static bool make_room(size_t n)
{
    candidates = n < UINT32_MAX ? malloc((n + 1) * sizeof *candidates) : NULL;
    waiting = candidates ? malloc((n + 1) * sizeof *waiting) : NULL;
    candidates_used = waiting_used = 0;
    if (waiting)
        return true;
    free(candidates);
    return false;
}

static void enter(const PyGC_Head *list)
{
    for (PyGC_Head *at = gc_next(list); at != list; at = gc_next(at)) {
        Py_ssize_t references = Py_REFCNT(gc_object(at));
        uint32_t number = (uint32_t)candidates_used++;
        candidates[number] = (candidate){at, references > INT32_MAX / 2 ? INT32_MAX / 2 : (int32_t)references, number};
        gc_mark(at, number);
    }
}

static void restore_links(PyGC_Head *list)
{
    PyGC_Head *before = list;
    for (PyGC_Head *at = gc_next(list); at != list; before = at, at = gc_next(at))
        gc_set_previous(at, before);
    gc_set_previous(list, before);
}

static inline candidate *as_candidate(PyObject *object)
{
    return gc_is_container(object) && gc_is_marked(object) ? &candidates[gc_number(object)] : NULL;
}

static inline void traverse(PyObject *object, visitproc visit, void *argument)
{
    Py_TYPE(object)->tp_traverse(object, visit, argument);
}

static inline PyObject *object_of(size_t number)
{
    return gc_object(candidates[number].head);
}

/* --- what is garbage -------------------------------------------------------------------------------- */

static int take_reference(PyObject *referred, void *Py_UNUSED(none))
{
    candidate *c = as_candidate(referred);
    if (c && c->references > 0)
        c->references--;
    return 0;
}

static int reach(PyObject *referred, void *Py_UNUSED(none))
{
    candidate *c = as_candidate(referred);
    if (c && c->references == 0) {
        c->references = 1;
        waiting[waiting_used++] = (uint32_t)(c - candidates);
    }
    return 0;
}

/* After this, `references` is above 0 for what is alive and 0 for garbage. */
static void find_garbage(bool pins_too)
{
    for (size_t i = 0; i < candidates_used; i++)
        traverse(object_of(i), take_reference, NULL);
    if (pins_too) /* what only our own pins keep is garbage */
        pins_visit(take_reference, NULL);
    for (size_t i = 0; i < candidates_used; i++)
        if (candidates[i].references > 0)
            waiting[waiting_used++] = (uint32_t)i;
    while (waiting_used > 0)
        traverse(object_of(waiting[--waiting_used]), reach, NULL);
}

/* --- which pieces of it nobody sees ------------------------------------------------------------------ */

static uint32_t root_of(uint32_t number)
{
    while (candidates[number].piece != number) {
        candidates[number].piece = candidates[candidates[number].piece].piece;
        number = candidates[number].piece;
    }
    return number;
}

static void unite(uint32_t a, uint32_t b)
{
    a = root_of(a);
    b = root_of(b);
    if (a == b)
        return;
    if (candidates[b].references == SEEN)
        candidates[a].references = SEEN;
    candidates[b].piece = a;
}

/* The garbage whose references are looked at. */
static struct {
    uint32_t number;
    int depth;       /* of untracked containers in one another */
    bool failed;     /* no memory */
    PyObject *last;  /* what was referred to last: often the class, in every object of a row */
} member;

/* One reference of garbage: to more of the same piece, to what shows when it goes, or to what lives on. That would live
 * until the garbage is collected, so it does: it is kept alive until a real collection. Objects without references of
 * their own matter only where a weak reference to them may come later. */
static int look_at(PyObject *referred, void *Py_UNUSED(none))
{
    PyTypeObject *type = Py_TYPE(referred);
    bool silent = true, lives_on = true;
    if (referred == member.last)
        return 0;
    if (!gc_is_container(referred)) {
        if (death_is_never_seen(type) || PyType_Check(referred))
            return 0;
        silent = death_is_silent(referred);
        lives_on = type->tp_weaklistoffset && (type != &PyCode_Type || Py_REFCNT(referred) > 1);
    } else if (gc_is_marked(referred)) {
        uint32_t number = (uint32_t)gc_number(referred);
        lives_on = candidates[number].references > 0;
        if (!lives_on)
            unite(member.number, number);
    } else if (!gc_is_tracked(referred) && type != &PyFrame_Type) {
        silent = (type == &PyTuple_Type || type == &PyDict_Type) && member.depth < MOST_NESTED;
        lives_on = false;
        member.depth++;
        if (silent)
            traverse(referred, look_at, NULL);
        member.depth--;
    }
    if (!silent)
        candidates[root_of(member.number)].references = SEEN;
    if (lives_on) {
        member.last = referred;
        member.failed = member.failed || !pins_add(referred);
    }
    return 0;
}

/* False when there is no memory to keep alive what must outlive the garbage. */
static bool find_pieces(void)
{
    member.last = NULL;
    member.failed = false;
    deaths_begin();
    for (uint32_t i = 0; i < candidates_used; i++) {
        if (candidates[i].references > 0)
            continue;
        if (!death_is_silent(object_of(i)))
            candidates[root_of(i)].references = SEEN;
        member.number = i;
        traverse(object_of(i), look_at, NULL);
    }
    return !member.failed;
}

static inline bool is_to_go(uint32_t number)
{
    return candidates[number].references <= 0 && candidates[root_of(number)].references == 0;
}

static bool is_pinned_garbage(PyObject *pinned)
{
    return gc_is_container(pinned) && gc_is_marked(pinned) && is_to_go((uint32_t)gc_number(pinned));
}

/* Lists in `waiting` what is to go. */
static void sentence(void)
{
    for (uint32_t i = 0; i < candidates_used; i++)
        if (is_to_go(i))
            waiting[waiting_used++] = i;
}

/* --- freeing ------------------------------------------------------------------------------------------ */

static void destroy(PyGC_Head *doomed)
{
    while (!gc_list_is_empty(doomed)) {
        PyGC_Head *first = gc_next(doomed);
        PyObject *object = Py_NewRef(gc_object(first));
        inquiry clear = Py_TYPE(object)->tp_clear;
        if (clear)
            clear(object);
        if (PyErr_Occurred())
            PyErr_WriteUnraisable(object);
        if (gc_next(doomed) == first)
            gc_list_move(&aside, first); /* it goes as soon as nothing doomed refers to it */
        Py_DECREF(object);
    }
}

/* Finds and frees what nobody sees in `n` lists, of which those from `young` on, `young_lists` many, hold what any real
 * collection would look at. */
static enum silent_effect collect_lists(PyGC_Head **lists, size_t n, size_t young, size_t young_lists)
{
    PyGC_Head doomed = {(uintptr_t)&doomed, (uintptr_t)&doomed};
    size_t length = 0, young_from = 0, young_to = 0, pinned = 0;
    for (size_t i = 0; i < n; i++)
        length += gc_list_length(lists[i]);
    if (!make_room(length))
        return SILENT_NOTHING;
    for (size_t i = 0; i < n; i++) {
        young_from = i == young ? candidates_used : young_from;
        enter(lists[i]);
        young_to = i == young + young_lists - 1 ? candidates_used : young_to;
    }
    find_garbage(n > 1);
    if (find_pieces())
        sentence();
    PyObject **unpinned = waiting_used ? malloc((pins_used() + 1) * sizeof *unpinned) : NULL;
    if (unpinned)
        pinned = pins_take(is_pinned_garbage, unpinned);
    else
        waiting_used = 0;
    enum silent_effect effect = waiting_used ? SILENT_YOUNG : SILENT_NOTHING;
    for (size_t i = 0; i < n; i++)
        restore_links(lists[i]);
    for (size_t i = 0; i < waiting_used; i++) {
        if (waiting[i] < young_from || waiting[i] >= young_to)
            effect = SILENT_OLD;
        gc_list_move(&doomed, candidates[waiting[i]].head);
    }
    free(candidates);
    free(waiting);
    for (size_t i = 0; i < pinned; i++)
        Py_DECREF(unpinned[i]);
    free(unpinned);
    destroy(&doomed);
    return effect;
}

enum silent_effect silent_collect(gc_state *state, bool old_too)
{
    PyGC_Head *young = gc_generation(state, 0);
    PyGC_Head *lists[] = {gc_generation(state, 2), &aside, young, gc_generation(state, 1)};
    size_t old = (size_t)(state->long_lived_total + state->long_lived_pending);
    enum silent_effect effect;
    bool wide = unexamined > FEW && unexamined > (old + examined) / 4; /* CPython's own rule for full collections */
    if (!wide)
        effect = collect_lists(&young, 1, 0, 1);
    else if (old_too && aside_length > 2 * FEW && aside_length > old / 4)
        effect = collect_lists(lists, 4, 1, 2);
    else
        effect = collect_lists(lists + 1, 2, 0, 2);
    silent_set_aside(state);
    if (wide) {
        examined = aside_length = gc_list_length(&aside);
        unexamined = 0;
    }
    return effect;
}

void silent_set_aside(gc_state *state)
{
    PyGC_Head *young = gc_generation(state, 0);
    size_t n = gc_list_length(young);
    unexamined += n;
    aside_length += n;
    gc_list_append(&aside, young);
}

void silent_put_back(gc_state *state)
{
    PyGC_Head *young = gc_generation(state, 0);
    gc_list_append(&aside, young);
    gc_list_append(young, &aside);
    aside_length = unexamined = examined = 0;
}

static bool all_of_them(PyObject *Py_UNUSED(object))
{
    return true;
}

/* A real collection frees a list from its end, so the first that was pinned goes first. */
static void hand_over(PyObject *holder, PyObject **pinned, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        if (Py_REFCNT(pinned[i]) == 1 && PyList_Append(holder, pinned[i]) < 0)
            PyErr_Clear(); /* no memory: it lives for ever */
        else
            Py_DECREF(pinned[i]);
    }
}

void silent_release(void)
{
    size_t n = pins_used();
    PyObject **pinned = n ? malloc(n * sizeof *pinned) : NULL;
    PyObject *holder = pinned ? PyList_New(0) : NULL; /* refers to itself: garbage like what it stands for */
    if (holder && PyList_Append(holder, holder) == 0)
        hand_over(holder, pinned, pins_take(all_of_them, pinned));
    else if (pinned)
        PyErr_Clear();
    Py_XDECREF(holder);
    free(pinned);
}
