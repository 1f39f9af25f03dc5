#define Py_BUILD_CORE 1 /* the interpreter's table of monitoring callbacks */
#include "observe.h"

#include "arena.h"
#include "control.h"
#include "decode.h"
#include "observed_frames.h"
#include "observed_frees.h"
#include "observed_setters.h"
#include "observed_stores.h"
#include "render.h"
#include "ticks.h"

#include <internal/pycore_interp.h>
#include <stddef.h>
#include <unistd.h>

bool observing;

/* --- events --------------------------------------------------------------------------------------------------- */

static void next_block(void)
{
    block_open(observed_tick + 1, stream_inputs);
    observed_stacks();
}

void observe_line(const frame *at, int line)
{
    observed_frame *f = observed_settle(at);
    if (!f)
        control_fatal("The replay cannot be observed: a line ran outside every frame.");
    observed_flush(f);
    if (f->is_new && !f->id)
        f->id = ticks_now;
    f->last = ticks_now;
    f->line = line;
    block_line(f->facts, line, stream_inputs);
    observed_tick = ticks_now;
    if (block_is_full()) {
        block_send();
        next_block();
    }
}

void observe_start(const frame *f)
{
    if (f)
        observed_enter(f);
}

void observe_raise(const frame *f, PyObject *exception)
{
    rendering text, name = {.size = 0};
    observed_settle(f);
    block_row(ROW_RAISE, observed_tick);
    render_value(exception, &text);
    block_rendered(exception, &text);
    render_type_name(Py_TYPE(exception), &name);
    block_key_bytes(FACT_RAISE, name.bytes, name.size);
    block_key_bytes(FACT_RAISE, NULL, 0);
}

void observe_passing(const frame *f)
{
    observed_store_fails(f);
}

static bool is_over;

void observe_flush(void)
{
    if (!observing || is_over)
        return;
    observed_end();
    block_send();
    next_block();
}

void observe_last(void)
{
    if (observing && !is_over) {
        observed_end();
        block_send();
    }
    is_over = true;
}

/* --- sites ------------------------------------------------------------------------------------------------------ */

#if PY_VERSION_HEX >= 0x030C0000

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
} site_callback;

static void at_site(const frame *f, const code_facts *facts, const code_site *site)
{
    if (site->kind == SITE_RETURN || site->kind == SITE_YIELD)
        observed_leave(site->kind == SITE_YIELD, facts->is_full ? site_operand(f, facts, site, 1) : NULL);
    else
        observed_store(f, facts, site);
}

static PyObject *on_site(PyObject *Py_UNUSED(self), PyObject *const *args, size_t Py_UNUSED(n), PyObject *Py_UNUSED(names))
{
    int64_t offset;
    if (!observing || ticks_hidden || !value_is_small_int(args[1], &offset))
        Py_RETURN_NONE;
    const frame *f = frames_current();
    observed_frame *record = observed_settle(f);
    const code_site *site = record ? code_site_at(record->facts, (uint32_t)(offset / (int64_t)sizeof(_Py_CODEUNIT))) : NULL;
    if (site)
        at_site(f, record->facts, site);
    Py_RETURN_NONE;
}

static PyTypeObject site_callback_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "retroscope.recorder._core.SiteCallback",
    .tp_basicsize = sizeof(site_callback),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_vectorcall_offset = offsetof(site_callback, call),
    .tp_call = PyVectorcall_Call,
};

/* Static and immortal: nothing is taken from the heap for it. */
static site_callback callback = {PyObject_HEAD_INIT(&site_callback_type) .call = on_site};

static int on_code(PyCodeEvent event, PyCodeObject *code)
{
    if (event == PY_CODE_EVENT_DESTROY)
        observed_code_dies(code);
    return 0;
}

static bool listen(void)
{
    static bool is_watching;
    if (!is_watching && PyCode_AddWatcher(on_code) < 0) {
        PyErr_Clear();
        return false;
    }
    is_watching = true;
    PyInterpreterState_Get()->monitoring_callables[ticks_tool()][PY_MONITORING_EVENT_INSTRUCTION] = (PyObject *)&callback;
    return true;
}

int observe_prepare(void)
{
    observed_setters_prepare();
    return render_prepare() < 0 || PyType_Ready(&site_callback_type) < 0 ? -1 : 0;
}

#else

void observe_return(const frame *f, PyObject *value)
{
    observed_frame *record = observed_settle(f);
    const code_site *site = record ? code_site_at(record->facts, frame_unit(f)) : NULL;
    if (record)
        observed_leave(site && site->kind == SITE_YIELD, record->facts->is_full ? value : NULL);
}

void observe_opcodes_of(PyFrameObject *object)
{
    observed_frame *record = observed_top();
    if (record && record->facts->stores && frames_has_object(record->at, object))
        frames_trace_opcodes(object);
}

void observe_opcode(const frame *f)
{
    uint32_t unit = frame_unit(f);
    if (!bytecode_stores(frames_code(f), unit))
        return;
    observed_frame *record = observed_settle(f);
    const code_site *site = record ? code_site_at(record->facts, unit) : NULL;
    if (site)
        observed_store(f, record->facts, site);
}

static bool listen(void)
{
    return true;
}

int observe_prepare(void)
{
    observed_setters_prepare();
    return render_prepare();
}

#endif

/* --- beginning ---------------------------------------------------------------------------------------------------- */

bool observe_begin(int fd, uint32_t what)
{
    if (what & ~(uint32_t)OBSERVE_ALL_CODE || !arena_open() || !listen() || !observed_frees_begin())
        return false;
    observed_setters_begin();
    block_begin(fd, what);
    observed_begin(what & OBSERVE_ALL_CODE, ticks_tool(), ticks_now);
    observing = true;
    next_block();
    return true;
}

void observe_forget(void)
{
    if (observing)
        block_begin(-1, 0);
    observing = false;
}
