#include "marked.h"

#include "visible.h"
#include "watch.h"

#include <string.h>

#define SLOTS (4 * MARKED_MOST)
#define NOWHERE UINT32_MAX

typedef struct {
    uint64_t address;
    bool generator, visible;
    uint64_t began_at;   /* its first start since it was marked, or in this run: before, another frame was there; else 0 */
    uint64_t last;       /* its last line since then, 0: none */
    uint64_t called_at;  /* when it began: the last line of the frame further out, 0: not seen in this run */
    uint32_t caller;     /* which frame that was, or is to be sought */
} mark;

static mark marks[MARKED_MOST];
static uint32_t count, first;
static bool wants_beginning;
static uint64_t before;    /* line events from this tick on are not noted */
static uint64_t last_any;  /* the last visible line of all */

/* Index of a frame by its address, 0: the slot is free. */
static uint16_t slots[SLOTS];

static size_t slot_of(uint64_t address)
{
    size_t slot = (size_t)(address >> 3) * 0x9E3779B97F4A7C15u >> 49;
    while (slots[slot % SLOTS] && marks[slots[slot % SLOTS] - 1].address != address)
        slot++;
    return slot % SLOTS;
}

static uint32_t index_of(const frame *f)
{
    uint32_t place = count ? slots[slot_of((uintptr_t)f)] : 0;
    return place ? place - 1 : NOWHERE;
}

bool marked_set(const char *body, size_t size)
{
    struct __attribute__((packed)) {
        uint64_t before;
        uint32_t first, beginning, count;
    } head;
    if (size < sizeof head)
        return false;
    memcpy(&head, body, sizeof head);
    if (head.count > MARKED_MOST || size != sizeof head + head.count * sizeof(uint64_t))
        return false;
    memset(slots, 0, sizeof slots);
    memset(marks, 0, sizeof marks);
    before = head.before;
    first = head.first;
    wants_beginning = head.beginning;
    last_any = 0;
    count = 0;
    for (uint32_t i = 0; i < head.count; i++) {
        uint64_t word;
        memcpy(&word, body + sizeof head + i * sizeof word, sizeof word);
        marks[i].address = word & ~(uint64_t)3;
        marks[i].generator = word & MARKED_GENERATOR;
        marks[i].visible = word & MARKED_VISIBLE;
        slots[slot_of(marks[i].address)] = (uint16_t)(i + 1);
    }
    count = head.count;
    return true;
}

size_t marked_stack(uint64_t out[MARKED_MOST])
{
    size_t n = 0;
    for (const frame *f = frames_current(); f && n < MARKED_MOST; f = frames_caller(f))
        out[n++] = (uintptr_t)f | (frames_is_generators(f) ? MARKED_GENERATOR : 0) |
                   (code_is_visible(frames_code(f)) ? MARKED_VISIBLE : 0);
    return n;
}

size_t marked_left(uint64_t out[MARKED_MOST])
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = marks[i].began_at ? 0
                                : marks[i].address | (marks[i].generator ? MARKED_GENERATOR : 0) |
                                      (marks[i].visible ? MARKED_VISIBLE : 0);
    return count;
}

/* --- forwards ----------------------------------------------------------------------------------------------- */

static bool is_over(const mark *m)
{
    return m->began_at || frames_generator_is_over((const frame *)(uintptr_t)m->address, watch_read);
}

bool marked_is_here(const frame *f, uint32_t *index)
{
    uint32_t i = index_of(f);
    if (i == NOWHERE || i < first || marks[i].began_at || !marks[i].visible)
        return false;
    for (uint32_t inner = 0; inner < i; inner++) {
        if (marks[inner].generator && !is_over(&marks[inner]))
            return false;
    }
    *index = i;
    return true;
}

/* --- backwards ---------------------------------------------------------------------------------------------- */

/* The nearest frame from `i` on outwards that has a line here, or whose line must be sought in an earlier run. */
static uint32_t next_with_lines(uint32_t i)
{
    while (i < count && (!marks[i].visible || (marks[i].began_at && !marks[i].last)))
        i++;
    return i;
}

void marked_enter(const frame *f, uint64_t tick)
{
    uint32_t i = index_of(f);
    if (i == NOWHERE)
        return;
    mark *m = &marks[i];
    m->began_at = tick + 1;
    m->last = 0;
    m->caller = next_with_lines(i + 1);
    m->called_at = m->caller < count ? marks[m->caller].last : last_any;
}

void marked_note(const frame *f, uint64_t tick, bool is_shown)
{
    if (tick >= before)
        return;
    if (is_shown)
        last_any = tick;
    uint32_t i = index_of(f);
    if (i != NOWHERE && marks[i].visible)
        marks[i].last = tick;
}

/* The frame that has resumed the one at `i`, if it began later: then somebody else began that, a generator. */
static uint32_t resumed_by_another(uint32_t i)
{
    uint32_t outer = i + 1;
    while (outer < count && !marks[outer].visible)
        outer++;
    bool began_later = outer < count && marks[outer].began_at > marks[i].began_at && marks[outer].last;
    return began_later ? outer : NOWHERE;
}

marked_result marked_found(void)
{
    uint32_t i = first;
    while (i < count && !wants_beginning && (!marks[i].visible || (marks[i].began_at && !marks[i].last && i > first)))
        i++;
    if (i >= count)
        return (marked_result){last_any, count, false};
    const mark *m = &marks[i];
    if (!wants_beginning && m->last)
        return (marked_result){m->last, i, false};
    uint32_t outer = resumed_by_another(i);
    if (outer != NOWHERE && (wants_beginning || m->began_at))
        return (marked_result){marks[outer].last, outer, false};
    return m->began_at ? (marked_result){m->called_at, m->caller, false} : (marked_result){0, i, wants_beginning};
}
