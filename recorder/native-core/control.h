/* The controller's hand in a replay process: stops, forks, looks and the last word. Linux only.
 *
 * Messages: docs/architecture.md, "Seam 4". A stopped process waits in C, allocates nothing on the Python heap
 * and forks with the C library's fork(): the child is the same process at the same tick, addresses included.
 * Every socket a process holds is its own; when the other end closes, it exits.
 */
#ifndef RETROSCOPE_CONTROL_H
#define RETROSCOPE_CONTROL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "ticks.h"

#include <stdbool.h>
#include <stdint.h>

enum stop_reason { STOP_READY, STOP_LIMIT, STOP_MATCH, STOP_END, STOP_DIVERGED, STOP_SEALED, STOP_FORK };

/* Non-zero in a process that only looks at a moment and is then thrown away. */
extern int core_looking;

/* Number of the recorded thread that runs; the main thread is 1. */
extern uint32_t core_thread;

/* Whether this process has a controller. */
bool control_present(void);

/* Stops at the present tick until the controller says RUN. */
void control_stop_here(enum stop_reason reason);

/* For the tick handler, at a line where nothing matched: stops if the run's limit is reached. */
void control_tick(void);

/* The program forks here: stops if the run wants that. The stream may be another one afterwards. */
void control_at_fork(void);

/* Remembers the exception that ends the program, for END. */
void control_uncaught(PyObject *exception);

/* The name of its type, empty while there is none. */
const char *control_uncaught_name(void);

/* The program is over. `status` is its exit status, -1 when the recording does not say; `uncaught` the type
 * name of what it did not catch, NULL: as told to control_uncaught, if it was. Serves FORK and LOOK for ever. */
_Noreturn void control_end(int status, const char *uncaught, PyObject *exception);

/* The program died of this signal, here. Async-signal-safe. Serves FORK and LOOK for ever. */
_Noreturn void control_killed(int signal_number);

/* The record is used up and the program runs on (after_record.h). Async-signal-safe. Serves FORK and LOOK for ever. */
_Noreturn void control_cut_off(void);

/* The replay does not do what the recording did. UTF-8, shown as it is. Serves FORK and LOOK for ever. */
_Noreturn void control_diverged(const char *text);

/* The seal caught a system call. */
_Noreturn void control_sealed(const char *text);

/* Something that must not happen has happened: as control_diverged; without a controller the text goes to
 * stderr and the process exits with status 3. The message is never lost. */
_Noreturn void control_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
