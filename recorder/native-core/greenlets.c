/* In 3.11 the interpreter's switch for tracing is in each of its frames on the C stack, and a greenlet puts its own back
 * when it goes on. Meanwhile the thread may have begun to count, or the greenlet ran a function that need not be traced
 * (entries.h): then it would go on uncounted, while a replay, which traces all, counts. So whoever comes back from a
 * switch takes the switch for tracing from the thread. */
#include "core.h"

#if PY_VERSION_HEX < 0x030C0000

/* Places in the table of functions that greenlet.h has for other extensions: part of its binary interface. */
enum { THROW_PLACE = 5, SWITCH_PLACE = 6 };

static PyCFunctionWithKeywords switch_method;
static PyCFunction throw_method;
static PyObject *(*switch_function)(PyObject *, PyObject *, PyObject *);
static PyObject *(*throw_function)(PyObject *, PyObject *, PyObject *, PyObject *);

static PyObject *traced_again(PyObject *result)
{
    PyThreadState *state = PyThreadState_Get();
    PyThreadState_EnterTracing(state); /* the two together ask the thread state anew */
    PyThreadState_LeaveTracing(state);
    return result;
}

static PyObject *method_switches(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return traced_again(switch_method(self, args, kwargs));
}

static PyObject *method_throws(PyObject *self, PyObject *args)
{
    return traced_again(throw_method(self, args));
}

static PyObject *function_switches(PyObject *greenlet, PyObject *args, PyObject *kwargs)
{
    return traced_again(switch_function(greenlet, args, kwargs));
}

static PyObject *function_throws(PyObject *greenlet, PyObject *type, PyObject *value, PyObject *traceback)
{
    return traced_again(throw_function(greenlet, type, value, traceback));
}

/* The definition of a method, if it is called in this way. */
static PyMethodDef *definition_of(PyObject *type, const char *name, int flags)
{
    PyObject *method = PyObject_GetAttrString(type, name);
    PyMethodDef *definition = method && Py_IS_TYPE(method, &PyMethodDescr_Type) ? ((PyMethodDescrObject *)method)->d_method
                                                                                : NULL;
    Py_XDECREF(method); /* the type keeps it */
    if (method && (!definition || definition->ml_flags != flags))
        PyErr_Format(PyExc_TypeError, "greenlet.%s is not what this version of Retroscope knows", name);
    return definition && definition->ml_flags == flags ? definition : NULL;
}

static PyObject *follow(PyObject *Py_UNUSED(module), PyObject *greenlet)
{
    PyObject *type = PyObject_GetAttrString(greenlet, "greenlet"), *capsule = PyObject_GetAttrString(greenlet, "_C_API");
    void **functions = capsule ? PyCapsule_GetPointer(capsule, "greenlet._C_API") : NULL;
    PyMethodDef *switches = type && functions ? definition_of(type, "switch", METH_VARARGS | METH_KEYWORDS) : NULL;
    PyMethodDef *throws = switches ? definition_of(type, "throw", METH_VARARGS) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(capsule);
    if (!throws)
        return NULL;
    if (switch_method)
        Py_RETURN_NONE; /* imported once more */
    switch_method = (PyCFunctionWithKeywords)(void (*)(void))switches->ml_meth;
    switches->ml_meth = (PyCFunction)(void (*)(void))method_switches;
    throw_method = throws->ml_meth;
    throws->ml_meth = method_throws;
    switch_function = (PyObject * (*)(PyObject *, PyObject *, PyObject *)) functions[SWITCH_PLACE];
    functions[SWITCH_PLACE] = (void *)function_switches;
    throw_function = (PyObject * (*)(PyObject *, PyObject *, PyObject *, PyObject *)) functions[THROW_PLACE];
    functions[THROW_PLACE] = (void *)function_throws;
    Py_RETURN_NONE;
}

#else

/* What counts there belongs to the interpreter, not to a frame. */
static PyObject *follow(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(greenlet))
{
    Py_RETURN_NONE;
}

#endif

static PyMethodDef functions[] = {
    {"greenlets_follow", follow, METH_O, "greenlets_follow(module): greenlets are traced when their thread is."},
    {0},
};

int greenlets_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
