/* 3.11: a traced thread that enters a function while an exception waits for another one goes round in circles until the
 * other has taken it (see docs/adr/004-signals.md: signals do the same). It cannot, as the turn is not its own. But the
 * other looks anyhow when it takes the GIL, so nobody else need be told. In replay nobody takes the GIL: there the switch
 * of contexts does it. */
#define Py_BUILD_CORE 1
#include "async_exceptions.h"

#if PY_VERSION_HEX < 0x030C0000

#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

void async_exceptions_left(void)
{
    PyThreadState *state = PyThreadState_Get();
    struct _ceval_state *ceval = &state->interp->ceval;
    ceval->pending.async_exc = state->async_exc != NULL;
    if (!state->async_exc && !_Py_atomic_load_relaxed(&ceval->gil_drop_request) &&
        !_Py_atomic_load_relaxed(&ceval->pending.calls_to_do) &&
        !_Py_atomic_load_relaxed(&_PyRuntime.ceval.signals_pending))
        _Py_atomic_store_relaxed(&ceval->eval_breaker, 0);
}

void async_exceptions_arrive(PyThreadState *state)
{
    struct _ceval_state *ceval = &state->interp->ceval;
    ceval->pending.async_exc = state->async_exc != NULL;
    if (state->async_exc)
        _Py_atomic_store_relaxed(&ceval->eval_breaker, 1);
}

#else

void async_exceptions_left(void)
{
}

void async_exceptions_arrive(PyThreadState *state)
{
    (void)state;
}

#endif
