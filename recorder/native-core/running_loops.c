/* 3.11: asyncio's C code notes with the running event loop of a thread the process that it runs in, and takes it for gone
 * in any other. A snapshot is another process to the operating system, but the same one to the program. 3.12 and later
 * have a hook in os.fork instead, which a raw fork does not call. */
#include "running_loops.h"
#include "core.h"

#include <unistd.h>

#if PY_VERSION_HEX < 0x030C0000

static PyObject *name;

/* As _asynciomodule.c of 3.11 lays it out. */
typedef struct {
    PyObject_HEAD
    PyObject *loop;
    pid_t process;
} running_loop;

int running_loops_prepare(void)
{
    if (!name)
        name = PyUnicode_InternFromString("__asyncio_running_event_loop__");
    return name ? 0 : -1;
}

static void move(pid_t before, pid_t after)
{
    PyInterpreterState *interpreter = PyInterpreterState_Main();
    if (!interpreter)
        return; /* the record ends after the interpreter */
    for (PyThreadState *t = PyInterpreterState_ThreadHead(interpreter); t; t = PyThreadState_Next(t)) {
        PyObject *found = t->dict ? PyDict_GetItemWithError(t->dict, name) : NULL;
        if (found && ((running_loop *)found)->process == before)
            ((running_loop *)found)->process = after;
    }
}

void running_loops_follow(pid_t before)
{
    move(before, getpid());
}

void running_loops_leave(void)
{
    move(getpid(), 0);
}

#else

int running_loops_prepare(void)
{
    return 0;
}

void running_loops_follow(pid_t before)
{
    (void)before;
}

void running_loops_leave(void)
{
}

#endif
