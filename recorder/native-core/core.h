/* What the topics of the native core share. */
#ifndef RETROSCOPE_CORE_H
#define RETROSCOPE_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

enum core_mode { MODE_OFF, MODE_RECORD, MODE_REPLAY };

/* What this process does at the boundary. Changes only at start-up, at a fork and when recording ends. */
extern int core_mode;

/* Above 0: this thread runs our own code or is inside a boundary call; nothing is recorded, checked or counted. */
extern __thread int core_hidden;

/* The interpreter that is recorded. Sub-interpreters share static types with it, and are outside the boundary. */
extern PyInterpreterState *core_interpreter;

static inline int core_is_elsewhere(void)
{
    return PyInterpreterState_Get() != core_interpreter;
}

/* The interpreter is being taken down. */
static inline int core_is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

/* Enter and leave hidden code; they nest. */
void core_hide(void);
void core_show(void);

/* Each topic adds its Python-visible functions to the module: 0, or -1 with an exception set. */
int consumer_register(PyObject *module);
int scan_register(PyObject *module);
int control_register(PyObject *module);
int family_register(PyObject *module);
int block_register(PyObject *module);
int build_register(PyObject *module);
int maps_register(PyObject *module);
int startup_register(PyObject *module);
int hidden_register(PyObject *module);
int callback_register(PyObject *module);
int reference_register(PyObject *module);
int path0_register(PyObject *module);
int boundary_register(PyObject *module);
int threads_register(PyObject *module);
int contexts_register(PyObject *module);
int identity_register(PyObject *module);
int address_register(PyObject *module);
int collector_register(PyObject *module);
int loading_register(PyObject *module);
int redacted_register(PyObject *module);
int greenlets_register(PyObject *module);
int foreign_register(PyObject *module);
int signal_calls_register(PyObject *module);
int allocations_register(PyObject *module);
int terminal_line_register(PyObject *module);
int own_classes_register(PyObject *module);

#endif
