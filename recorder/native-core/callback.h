/* The program's own code that runs inside a boundary call: what the call was given to call back, the __index__ or
 * __fspath__ of an argument, a warning that is shown.
 *
 * While an original runs in a recording, the interpreter tells of every entry into Python code. What is entered there
 * is run as part of the program, between a CALLBACK and a CALLED_BACK record; replay calls it at the same place,
 * before it takes the result of the call itself. */
#ifndef RETROSCOPE_CALLBACK_H
#define RETROSCOPE_CALLBACK_H

#include "boundary.h"
#include "decode.h"
#include "warned.h"

/* Targets of CALLBACK records that are numbers; 0 and above: callbacks made by core.callback(). */
#define CALLBACK_UNRAISABLE (-1) /* an exception is told to sys.unraisablehook */
#define CALLBACK_CHANGED (-2)    /* members of self have changed */
#define CALLBACK_WARNING (-3)    /* a warning is shown: args are those of warnings.WarningMessage */
#define CALLBACK_CODEC (-4)      /* a codec is looked up: args hold its name */
#define CALLBACK_WARNED (-6)     /* C code has warned, shown or not: args as of warned_since() */

typedef struct {
    long number;
    PyObject *object;       /* owned */
} member_value;

/* One call of an original, on the C stack of the thread that makes it. */
typedef struct callback_scope {
    struct callback_scope *outer;
    boundary_entry *entry;
    boundary_call call;     /* with the outcomes of its callbacks; owned */
    uint32_t digest;
    bool watched;
    bool reports;           /* ours stands in the place of the program's sys.unraisablehook */
    member_value before[BOUNDARY_CHANGES]; /* of the members that the call may change */
    warned_mark warned;     /* the caller's warnings so far */
} callback_scope;

/* Around an original that runs hidden, while recording. */
void callback_watch(callback_scope *scope, boundary_entry *entry, const boundary_call *call, uint32_t digest);
void callback_unwatch(callback_scope *scope);

/* Is `scope` the call whose original this thread is in, and not in something that it has called back? */
bool callback_is_in(const callback_scope *scope);

/* In the child of a fork that the original of `scope` made: what runs now is part of the program. */
void callback_forked(callback_scope *scope);

/* In replay, before the outcome of `scope` is taken: runs what the recording says was called back. `scope` holds
 * entry, call and digest. */
void callback_replay(callback_scope *scope);

/* Lets the outcomes go. */
void callback_done(callback_scope *scope);

/* Runs `run(self, args, kwargs)` as part of the program; from inside an original, between the records of a callback
 * with this number. */
typedef PyObject *(*callback_run)(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *callback_record(int64_t target, callback_run run, PyObject *self, PyObject *args, PyObject *kwargs);

/* Does an original run on this thread, which may call back? */
bool callback_is_open(void);

/* In replay: the callback with a number. */
PyObject *numbered_replay(PyObject *target, PyObject *args, PyObject *kwargs);

#endif
