/* A collection follows what the frame of a suspended generator holds. That of a running one it follows only if the frame
 * entered a Python function without C code between, for only then the interpreter leaves the height of its stack there.
 * Whether it did hangs on specialised instructions, hooks and tracing, and so differs in replay. What is followed decides
 * the order of the collector's lists, and with it that of finalizers. So the frame of a running generator is never
 * followed: somebody runs it, so neither it nor what it holds is garbage. */
#define Py_BUILD_CORE 1
#include "running_generators.h"

#include <internal/pycore_frame.h>

static traverseproc of_generator, of_coroutine, of_async_generator;

static int traverse(PyGenObject *generator, traverseproc original, visitproc visit, void *argument)
{
    struct _PyInterpreterFrame *f = (struct _PyInterpreterFrame *)generator->gi_iframe;
    if (generator->gi_frame_state != FRAME_EXECUTING)
        return original((PyObject *)generator, visit, argument);
    int height = f->stacktop;
    f->stacktop = -1;
    int result = original((PyObject *)generator, visit, argument);
    f->stacktop = height;
    return result;
}

static int traverse_generator(PyObject *object, visitproc visit, void *argument)
{
    return traverse((PyGenObject *)object, of_generator, visit, argument);
}

static int traverse_coroutine(PyObject *object, visitproc visit, void *argument)
{
    return traverse((PyGenObject *)object, of_coroutine, visit, argument);
}

static int traverse_async_generator(PyObject *object, visitproc visit, void *argument)
{
    return traverse((PyGenObject *)object, of_async_generator, visit, argument);
}

void running_generators_take_over(void)
{
    of_generator = PyGen_Type.tp_traverse;
    of_coroutine = PyCoro_Type.tp_traverse;
    of_async_generator = PyAsyncGen_Type.tp_traverse;
    PyGen_Type.tp_traverse = traverse_generator;
    PyCoro_Type.tp_traverse = traverse_coroutine;
    PyAsyncGen_Type.tp_traverse = traverse_async_generator;
}
