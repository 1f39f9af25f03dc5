/* Python signal handlers run at recorded places, the same in replay.
 *
 * While the program is recorded, what CPython calls for a signal is not the program's handler but a relay of ours, and
 * CPython calls it at some check between two instructions, which nobody could name. So the relay only notes that the
 * signal waits. Its handler is run, in the main thread, at the next place that has a name: a counted event (count.h),
 * the beginning or the end of a call that crosses the boundary, a wait for a lock; or at once, as a callback, when it
 * interrupts a call that is going on at the boundary. See docs/adr/004-signals.md.
 */
#ifndef RETROSCOPE_SIGNALS_H
#define RETROSCOPE_SIGNALS_H

#include "boundary.h"

/* Where a handler ran, in a SIGNAL record: a count of events from 0 up, or minus (one of these plus 16 times how deep
 * it was nested; of SIGNAL_CALL the number of the call). */
enum signal_place {
    SIGNAL_AFTER = 1,  /* after the call that crossed the boundary */
    SIGNAL_BEFORE,     /* before it */
    SIGNAL_WAIT,       /* while the main thread waited for another */
    SIGNAL_CALL,       /* in a call of signal.signal() or _thread.interrupt_main() */
    SIGNAL_NEXT,       /* after the handler that ran before: both had waited */
    SIGNAL_SOUGHT,     /* at an event that was not counted: known by what the program held (moment.h) */
    SIGNAL_LOOP,       /* 3.11: in a loop of the main thread that is one instruction, and makes no events */
    SIGNAL_ALLOCATION, /* no signal at all, its number is 0: an allocation that fails (allocations.h) */
};

/* Recording: a signal waits for its handler to be run. Replay: the next record is that of a handler. */
extern bool signals_waiting;

/* Is it to be run at this event of the running thread? */
bool signals_are_due(int64_t count);

/* Runs what is due; `count` is -1 where events are not counted. 0, or -1 with the exception a handler raised. */
int signals_at_event(int64_t count);

/* The same in a loop that is one instruction; replay has it looked for while signals_are_in_loop(). */
bool signals_are_in_loop(void);
int signals_at_loop(void);

/* Around a call that crosses the boundary, and returned `result` or raised: 0, or -1 with the exception that a handler
 * raised. */
int signals_before_call(const boundary_entry *entry, const boundary_call *call);
int signals_after_call(const boundary_entry *entry, const boundary_call *call, const PyObject *result);

/* In a wait of the main thread: 1 when handlers ran, 0 when there were none, -1 with an exception. */
int signals_in_wait(void);

/* Recording, in the main thread without the turn: signals that came are noted, nothing is run. */
void signals_take_note(void);

/* Replay: a record was taken; what comes next? */
void signals_look_ahead(void);

/* What a CALLBACK record with this target stands for: args hold the signal's number. */
#define CALLBACK_SIGNAL (-5)
PyObject *signals_call_back(PyObject *self, PyObject *args, PyObject *kwargs);

/* In the child of a fork: the running thread is its main thread. */
void signals_forked(void);

/* Is the running thread the main thread, the one that runs handlers? */
bool signals_are_mine(void);

/* At a call of the program that has no record of its own, where CPython looks for signals: 0, or -1 with an
 * exception. */
int signals_at_call(void);

/* What CPython is given in the place of the program's handler: new, NULL with an exception. It owns the handler. */
PyObject *signals_relay(int number, PyObject *handler);

/* The program's handler behind what CPython holds for a signal: borrowed, NULL when that is not a relay. */
PyObject *signals_handler(PyObject *known);

/* CPython holds this relay for the signal now; NULL: none. */
void signals_set_relay(int number, PyObject *installed);

int signal_calls_register(PyObject *module);

/* `_signal.signal`, `_signal.getsignal`, `_thread.interrupt_main` (signal_calls.c). */
PyObject *signal_install(boundary_entry *entry, const boundary_call *call);
PyObject *signal_get(boundary_entry *entry, const boundary_call *call);
PyObject *signal_interrupt_main(boundary_entry *entry, const boundary_call *call);

#endif
