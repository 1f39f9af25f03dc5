/* What C code leaves in a module's __warningregistry__ when it warns, shown or not: it makes the dict, and notes there
 * what it has warned of. Replay does not run that code, but the program may look (`vars(module)`), and has one name more
 * to go through. */
#ifndef RETROSCOPE_WARNED_H
#define RETROSCOPE_WARNED_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

/* The registry of the module that calls, as it was. Everything is borrowed, and only compared. */
typedef struct {
    PyObject *globals;  /* of the calling frame; NULL: no Python code runs */
    PyObject *registry; /* NULL: it has none */
    uint64_t version;   /* of the registry */
    Py_ssize_t length;
    long filters;       /* the number of the filters that it is of */
} warned_mark;

/* Before and after the original runs, in the same frame. */
warned_mark warned_before(void);

/* (is it all, ((key, value), ...)): what is in the registry now, or what was added to it. NULL: nothing, or without
 * memory, with an exception. */
PyObject *warned_since(const warned_mark *mark);

/* Replay: the same again, in the registry of the module that runs: None, or NULL with an exception. */
PyObject *warned_again(PyObject *args);

#endif
