/* What the topics of the native core share. */
#ifndef RETROSCOPE_CORE_H
#define RETROSCOPE_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Each topic adds its Python-visible functions to the module: 0, or -1 with an exception set. */
int consumer_register(PyObject *module);
int control_register(PyObject *module);

#endif
