#include "unraisable.h"
#include "turn.h"

bool callback_reporting;
PyObject *callback_reporter;

static unsigned running;  /* originals, of all threads: some wait without the turn */
static PyObject *theirs;  /* owned */

static bool ours_stands(void)
{
    return callback_reporter && PySys_GetObject("unraisablehook") == callback_reporter;
}

bool unraisable_show(void)
{
    if (!ours_stands())
        return false;
    PySys_SetObject("unraisablehook", theirs);
    Py_CLEAR(theirs);
    return true;
}

void unraisable_hide(void)
{
    if (!running || ours_stands())
        return;
    Py_XSETREF(theirs, Py_XNewRef(PySys_GetObject("unraisablehook")));
    PySys_SetObject("unraisablehook", callback_reporter);
}

void unraisable_open(void)
{
    running++;
    unraisable_hide();
}

void unraisable_close(void)
{
    running--;
    if (!running || turn_is_shared)
        unraisable_show();
}

void unraisable_forked(void)
{
    running = 0;
    unraisable_show();
}
