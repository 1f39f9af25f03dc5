/* A line that a person types: what input() reads at a terminal, through readline once that is imported. */
#include "core.h"

#include <stdio.h>

static PyObject *terminal_line(PyObject *Py_UNUSED(module), PyObject *prompt)
{
    if (!PyBytes_Check(prompt))
        return PyErr_Format(PyExc_TypeError, "the prompt is bytes");
    char *text = PyOS_Readline(stdin, stdout, PyBytes_AS_STRING(prompt));
    if (!text) {
        if (PyErr_CheckSignals() == 0 && !PyErr_Occurred())
            PyErr_SetNone(PyExc_KeyboardInterrupt);
        return NULL;
    }
    PyObject *line = PyBytes_FromString(text);
    PyMem_Free(text);
    return line;
}

static PyMethodDef functions[] = {
    {"terminal_line", terminal_line, METH_O,
     "terminal_line(prompt: bytes) -> bytes: a line from the terminal, with its end; empty: there is no more."},
    {0},
};

int terminal_line_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
