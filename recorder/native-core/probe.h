/* Conditions of breakpoints, judged in the process that runs: only for scouts, which are thrown away afterwards.
 *
 * A looker per hit is exact but costs a fork. The Python side (replay/retroscope/replay/inspector_conditions.py)
 * judges what it can without running anything of the program and says "perhaps" to everything else, so a condition
 * that is judged false here is false. What it allocates moves later objects: such a process is no snapshot.
 */
#ifndef RETROSCOPE_PROBE_H
#define RETROSCOPE_PROBE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes the conditions of a CONDITIONS message (after its header) by the ids of their breakpoints; false if it is
 * malformed or this process has nobody to judge them. */
bool probe_arm(const char *body, size_t size);

/* Whether the breakpoint may be hit at the running frame: true also for one without a condition. */
bool probe_may_hit(uint32_t breakpoint);

int probe_register(PyObject *module);

#endif
