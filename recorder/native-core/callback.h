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

/* One call of an original, on the C stack of the thread that makes it. */
typedef struct callback_scope {
    struct callback_scope *outer;
    boundary_entry *entry;
    boundary_call call;     /* with the outcomes of its callbacks; owned */
    uint32_t digest;
    bool watched;
} callback_scope;

/* Around an original that runs hidden, while recording. */
void callback_watch(callback_scope *scope, boundary_entry *entry, const boundary_call *call, uint32_t digest);
void callback_unwatch(callback_scope *scope);

/* In replay, before the outcome of `scope` is taken: runs what the recording says was called back. `scope` holds
 * entry, call and digest. */
void callback_replay(callback_scope *scope);

/* Lets the outcomes go. */
void callback_done(callback_scope *scope);

#endif
