/* A memory watch: at which line event do these bytes differ from what they were at the line event before?
 *
 * Replay puts every object at the same address in every run, so an address found at one tick means the same at an
 * earlier one. There the memory may not be mapped yet: then it counts as absent. Everything lives in static memory.
 * The same bytes can also be the address of another object than before (reborn.h).
 */
#ifndef RETROSCOPE_WATCH_H
#define RETROSCOPE_WATCH_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>

/* As many ranges, and as many bytes in all, a watch can have. */
#define WATCH_RANGES 64
#define WATCH_BYTES (1 << 16)

/* Replaces the ranges by those of a WATCH message (after its header); false if it is malformed or does not fit,
 * nothing is changed then. */
bool watch_set(const char *body, size_t size);

/* Remembers what the bytes are now, as a run begins. */
void watch_begin(void);

enum { WATCH_VALUE_REBORN = 1, WATCH_OWNER_REBORN = 2, WATCH_BYTES_CHANGED = 4 };

/* What has changed since the last call of this or of watch_begin; remembers what is there now. */
unsigned watch_changed(bool is_line_event);

/* Reads one aligned word that may not be there any more. */
bool watch_read(uintptr_t address, uint64_t *word);

/* For the handler of SIGSEGV and SIGBUS: does not return if it was the watch that read what is not there. */
void watch_fault(void);

int watch_register(PyObject *module);

#endif
