/* CPython 3.13 keeps, for each instruction, which tools want its opcode event; it makes that table when an event first
 * has two tools, and makes it empty. Where opcode events were asked for before (frame.f_trace_opcodes, then
 * sys.settrace), they are lost as soon as another tool has line events. So there are two tools from the start: the
 * one of sys.setprofile has a bit besides ours, and no callback. */
#define Py_BUILD_CORE 1 /* the interpreter's table of monitored events */
#include "opcode_events.h"

#include <Python.h>

#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000

#include <internal/pycore_interp.h>

#define PY_START_EVENT 0
#define SETPROFILE_TOOL 6

void opcode_events_keep(void)
{
    PyInterpreterState_Get()->monitors.tools[PY_START_EVENT] |= 1 << SETPROFILE_TOOL;
}

#else

void opcode_events_keep(void)
{
}

#endif
