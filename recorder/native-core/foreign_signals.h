/* Signal handlers that extensions install from C, as libev does. They run wherever the signal finds the program; the
 * record says which ran before the next call of an extension that crosses, and replay runs them there.
 *
 * What remains: where a handler runs between two calls of its library, and the library reads in between what the
 * handler has set, replay is too late, and diverges. */
#ifndef RETROSCOPE_FOREIGN_SIGNALS_H
#define RETROSCOPE_FOREIGN_SIGNALS_H

#include "foreign.h"

/* Rules (foreign.h). */
long foreign_sigaction(unsigned function, const long *arguments);
long foreign_signal(unsigned function, const long *arguments);

/* Does a handler of an extension run in this thread? Its calls have no records. */
bool foreign_in_handler(void);

/* In replay: a call that a handler makes. */
long foreign_handler_calls(unsigned function, const long *arguments);

/* Recording, before the outcome of a call: writes which handlers have run. */
void foreign_signals_record(void);

/* In replay: the handler of this signal is to run. `data`: its siginfo_t. */
void foreign_signals_expect(int number, const char *data, size_t size);
void foreign_signals_replay(int number);

#endif
