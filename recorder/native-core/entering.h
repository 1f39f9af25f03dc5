/* What of the program is being entered from inside a boundary call, in words that replay understands. */
#ifndef RETROSCOPE_ENTERING_H
#define RETROSCOPE_ENTERING_H

#include "encode.h"
#include "frames.h"

/* How replay finds it: `object` itself is called, or its method `name`, or a new instance of it is made. Borrowed. */
typedef struct {
    PyObject *object, *name;
    PyObject *instance;       /* the new instance, whose __init__ is being entered */
    Py_ssize_t skip;          /* leading arguments that are not passed */
} entering_target;

/* False when replay could not find it. */
bool entering_identify(const boundary_call *call, const frame_entry *entry, int throwing, entering_target *found);

/* The arguments of a function that is about to begin, without the first `skip`: (args, kwargs or None). */
PyObject *entering_arguments(const frame_entry *entry, Py_ssize_t skip);

/* Is the search function of the standard codecs being entered? C code keeps what it finds; so replay must not call it
 * but look the codec up. */
bool entering_codec(const frame_entry *entry);

/* Is it the codec of host names, which only computes? Calls that look hosts up run it; replay has no need of it. */
bool entering_host_name(const frame_entry *entry);

/* Looks the codec up, as the program would: None. */
PyObject *entering_find_codec(PyObject *name);

/* Is it something that the compiler calls, while CPython's own Python code imports? */
bool entering_from_compiler(const frame_entry *entry);

/* C code shows a warning by two calls: it makes a WarningMessage, and passes it to warnings._showwarnmsg(). */
bool entering_is_part_of_warning(const frame_entry *entry);

/* When _showwarnmsg() is being entered: the arguments of its message, a new reference. Else NULL without an exception. */
PyObject *entering_warning(const frame_entry *entry);

/* Shows a warning with these arguments, as C code does. */
PyObject *entering_warn(PyObject *args);

#endif
