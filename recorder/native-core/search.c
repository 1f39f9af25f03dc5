#include "search.h"

#include "contexts.h"
#include "control.h"
#include "marked.h"
#include "message.h"
#include "probe.h"
#include "ticks.h"
#include "visible.h"
#include "watch.h"

#include <string.h>

bool search_starts;
search_request search_current;

static uint64_t began_at;

/* The thread that has changed watched memory since the last line event. */
#define NOBODY 0
#define SEVERAL UINT32_MAX
static uint32_t writer;
static unsigned reborn; /* since then, as bits of watch_changed */

/* The frames that have just begun, until their first line events: several, for a thread may lose the turn between. */
#define ENTERED 8
static const frame *entered[ENTERED];
static unsigned entered_next;

/* --- what was found --------------------------------------------------------------------------------------- */

static search_match found[SEARCH_KEPT];
static uint64_t found_count;

static void add_match(uint32_t kind, uint32_t detail, const frame *f)
{
    search_match *m = &found[found_count++ % SEARCH_KEPT];
    m->tick = ticks_now;
    m->kind = kind;
    m->detail = detail;
    m->depth = frames_depth(f, ticks_now);
    m->thread = core_thread;
}

size_t search_found(search_match out[SEARCH_KEPT + 1], uint64_t *all)
{
    size_t n = found_count < SEARCH_KEPT ? (size_t)found_count : SEARCH_KEPT;
    for (size_t i = 0; i < n; i++)
        out[i] = found[(found_count - n + i) % SEARCH_KEPT];
    *all = found_count;
    if (search_current.want & WANT_MARKED && search_current.action == ACTION_COLLECT) {
        marked_result m = marked_found();
        out[n++] = (search_match){m.tick, WANT_MARKED, m.index << 1 | m.beginning, 0, core_thread};
    }
    return n;
}

/* --- the breakpoints -------------------------------------------------------------------------------------- */

enum { KIND_LINE, KIND_FUNCTION, KIND_RAISE };

#define BREAKPOINTS 4096
#define TEXT_BYTES (1 << 18)

typedef struct {
    uint32_t id, kind, line, size;
    const char *text;
} breakpoint;

static breakpoint breakpoints[BREAKPOINTS];
static uint32_t breakpoint_count;
static char breakpoint_text[TEXT_BYTES];
static uint64_t lines[65536 / 64];  /* bit (line & 0xFFFF) set: some breakpoint may be on such a line */
static bool any_line, any_function, any_raise;

static uint32_t take_u32(const char **p)
{
    uint32_t value;
    memcpy(&value, *p, sizeof value);
    *p += sizeof value;
    return value;
}

/* Reads one breakpoint at *p; its text stays in the message. */
static bool read_breakpoint(const char **p, const char *end, breakpoint *b)
{
    if (end - *p < 16)
        return false;
    b->id = take_u32(p);
    b->kind = take_u32(p);
    b->line = take_u32(p);
    b->size = take_u32(p);
    b->text = *p;
    if ((size_t)(end - *p) < b->size || b->kind > KIND_RAISE)
        return false;
    *p += b->size;
    return true;
}

/* Whether the whole message is well-formed and fits. */
static bool check_breakpoints(const char *p, const char *end, uint32_t n)
{
    size_t text = 0;
    breakpoint b;
    if (n > BREAKPOINTS)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!read_breakpoint(&p, end, &b))
            return false;
        text += b.size;
    }
    return p == end && text <= TEXT_BYTES;
}

bool search_set_breakpoints(const char *body, size_t size)
{
    const char *p = body, *end = body + size;
    if (size < 4)
        return false;
    uint32_t n = take_u32(&p);
    if (!check_breakpoints(p, end, n))
        return false;
    memset(lines, 0, sizeof lines);
    any_function = any_line = any_raise = false;
    memset(entered, 0, sizeof entered);
    breakpoint_count = n;
    char *text = breakpoint_text;
    for (uint32_t i = 0; i < n; i++) {
        breakpoint *b = &breakpoints[i];
        read_breakpoint(&p, end, b);
        memcpy(text, b->text, b->size);
        b->text = text;
        text += b->size;
        if (b->kind == KIND_LINE) {
            lines[(b->line & 0xFFFF) / 64] |= (uint64_t)1 << (b->line & 63);
            any_line = true;
        } else if (b->kind == KIND_FUNCTION) {
            any_function = true;
        } else {
            any_raise = true;
        }
    }
    return true;
}

/* Whether `stem` is the name of the code's file without folders and without its extension. */
static bool is_file_stem(PyCodeObject *code, const char *stem, size_t n)
{
    char path[4096];
    message text = message_in(path, sizeof path);
    message_add_str(&text, code->co_filename);
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    size_t size = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    return size == n && memcmp(name, stem, n) == 0;
}

/* `name` is a qualified name, alone or after "file-stem:". */
static bool names_function(const breakpoint *b, PyCodeObject *code)
{
    const char *colon = memchr(b->text, ':', b->size);
    if (!colon)
        return message_str_is(code->co_qualname, b->text, b->size);
    size_t stem = (size_t)(colon - b->text);
    return message_str_is(code->co_qualname, colon + 1, b->size - stem - 1) && is_file_stem(code, b->text, stem);
}

void search_enter(const frame *f)
{
    entered[entered_next++ % ENTERED] = f;
    if (search_current.want & WANT_MARKED)
        marked_enter(f, ticks_now);
}

/* Whether this is the first line event of a frame that began. */
static bool is_first_line(const frame *f)
{
    for (unsigned i = 0; i < ENTERED; i++) {
        if (entered[i] == f) {
            entered[i] = NULL;
            return true;
        }
    }
    return false;
}

static bool is_hit(const breakpoint *b, PyCodeObject *code, uint32_t line, bool entering)
{
    if (b->kind != KIND_LINE)
        return b->kind == KIND_FUNCTION && entering && names_function(b, code);
    return b->line == line && message_str_is(code->co_filename, b->text, b->size);
}

static bool match_breakpoints(PyCodeObject *code, uint32_t line, const frame *f, bool entering)
{
    bool here = lines[(line & 0xFFFF) / 64] >> (line & 63) & 1;
    bool any = false;
    if (!here && !(entering && any_function))
        return false;
    for (uint32_t i = 0; i < breakpoint_count; i++) {
        if (is_hit(&breakpoints[i], code, line, entering) && probe_may_hit(breakpoints[i].id)) {
            add_match(WANT_BREAKPOINT, breakpoints[i].id, f);
            any = true;
        }
    }
    return any;
}

/* --- the search ------------------------------------------------------------------------------------------- */

void search_begin(const search_request *request)
{
    search_current = *request;
    found_count = 0;
    began_at = ticks_now;
    memset(entered, 0, sizeof entered);
    writer = NOBODY;
    reborn = 0;
    if (request->want & WANT_WATCH)
        watch_begin();
    search_starts = request->want & (WANT_DEPTH | WANT_MARKED) || (request->want & WANT_BREAKPOINT && any_function);
}

bool search_every_line(void)
{
    uint32_t want = search_current.want;
    return want & (WANT_DEPTH | WANT_LINE | WANT_WATCH | WANT_MARKED) || (want & WANT_BREAKPOINT && (any_line || any_function));
}

/* Lines of all threads are of interest while the one that is sought does not live. */
static bool is_sought_thread(void)
{
    uint32_t sought = search_current.thread;
    return !sought || sought == core_thread || !context_lives(sought);
}

static bool match_line(PyCodeObject *code, const frame *f, bool entering)
{
    uint32_t want = search_current.want;
    if (want & WANT_VISIBLE && !code_is_visible(code))
        return false;
    uint32_t depth = want & WANT_DEPTH ? frames_depth(f, ticks_now) : UINT32_MAX;
    bool fits = want & WANT_FIRST ? entering && depth == search_current.max_depth : depth <= search_current.max_depth;
    if (want & WANT_DEPTH && fits)
        add_match(WANT_DEPTH, entering, f);
    else if (want & WANT_LINE)
        add_match(WANT_LINE, 0, f);
    else
        return false;
    return true;
}

static bool match_marked(PyCodeObject *code, const frame *f)
{
    bool is_shown = !(search_current.want & WANT_VISIBLE) || code_is_visible(code);
    uint32_t index;
    if (search_current.action == ACTION_COLLECT) {
        marked_note(f, ticks_now, is_shown);
        return false;
    }
    if (marked_is_here(f, &index))
        add_match(WANT_MARKED, index, f);
    else if (is_shown && search_current.thread && !context_lives(search_current.thread))
        add_match(WANT_LINE, 0, f);
    else
        return false;
    return true;
}

static void note_writer(bool is_line_event)
{
    unsigned changed = search_current.want & WANT_WATCH ? watch_changed(is_line_event) : 0;
    if (changed)
        writer = writer == NOBODY || writer == core_thread ? core_thread : SEVERAL;
    reborn |= changed & (WATCH_VALUE_REBORN | WATCH_OWNER_REBORN);
}

void search_before_switch(void)
{
    note_writer(false);
}

bool search_passes(void)
{
    if (search_current.want != WANT_WATCH || ticks_now >= search_current.until)
        return false;
    note_writer(true);
    return writer == NOBODY;
}

bool search_line(PyCodeObject *code, int line)
{
    note_writer(true);
    const frame *f = frames_current();
    bool any = writer != NOBODY;
    if (any)
        add_match(WANT_WATCH, (writer == SEVERAL ? 0 : writer << 2) | reborn, f);
    writer = NOBODY;
    reborn = 0;
    if (!search_every_line())
        return false;
    bool entering = search_starts && is_first_line(f);
    if (search_current.want & WANT_BREAKPOINT)
        any |= match_breakpoints(code, (uint32_t)line, f, entering);
    if (search_current.want & (WANT_DEPTH | WANT_LINE) && is_sought_thread())
        any |= match_line(code, f, entering);
    if (search_current.want & WANT_MARKED)
        any |= match_marked(code, f);
    return any && search_current.action == ACTION_STOP;
}

/* Whether a type, without its module, or one of its bases is called so. */
static bool is_called(PyTypeObject *type, const breakpoint *b)
{
    PyObject *mro = type->tp_mro;
    for (Py_ssize_t i = 0; mro && i < PyTuple_GET_SIZE(mro); i++) {
        const char *name = ((PyTypeObject *)PyTuple_GET_ITEM(mro, i))->tp_name, *dot = strrchr(name, '.');
        name = dot ? dot + 1 : name;
        if (strlen(name) == b->size && memcmp(name, b->text, b->size) == 0)
            return true;
    }
    return false;
}

/* Where types are named, an exception that is of none of them does not count. */
static bool is_sought(PyObject *exception, uint32_t *id)
{
    *id = 0;
    for (uint32_t i = 0; any_raise && i < breakpoint_count; i++) {
        *id = breakpoints[i].id;
        if (breakpoints[i].kind == KIND_RAISE && is_called(Py_TYPE(exception), &breakpoints[i]))
            return true;
    }
    return !any_raise;
}

bool search_raise(const frame *f, PyObject *exception)
{
    uint32_t id;
    uint32_t want = search_current.want;
    if (!(want & WANT_RAISE))
        return false;
    if (ticks_now == began_at && !(want & WANT_RAISE_HERE))
        return false;
    if (want & WANT_VISIBLE && !code_is_visible(frames_code(f)))
        return false;
    if (!is_sought(exception, &id))
        return false;
    add_match(WANT_RAISE, id, f);
    return search_current.action == ACTION_STOP;
}
