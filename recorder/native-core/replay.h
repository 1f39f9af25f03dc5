/* The boundary while replaying: nothing outside is asked; every input is checked against the record. */
#ifndef RETROSCOPE_REPLAY_H
#define RETROSCOPE_REPLAY_H

#include "boundary.h"
#include "decode.h"

/* Stops this replay for good: what happened and what was expected, the Python stack, the last agreeing
 * input. Never returns. `format` as in PyUnicode_FromFormat. */
_Noreturn void replay_diverged(const char *format, ...);

/* The stream is used up: the recording ends at this place. Never returns. */
_Noreturn void replay_record_ends(void);

/* Is anything of the stream left? */
int replay_has_more(void);

/* The result or exception of this callable must be next: shown in *record, not taken. */
void replay_expect_call(boundary_entry *entry, record_view *record);

/* The same for a call of the C library by an extension, with its digest; the record is checked against both. */
void replay_expect_foreign(boundary_entry *entry, uint32_t digest, record_view *record);

/* Is it next, whatever its digest? Then it is in *record, not taken. */
bool replay_foreign_is_next(boundary_entry *entry, record_view *record);

/* Takes a record of the recorder itself (callable 0) of this kind; a divergence if another comes. */
void replay_expect_own(unsigned kind, record_view *record);

/* Does a record of the recorder itself (callable 0) of this kind come next? Then it is in *record, not taken. */
bool replay_own_is_next(unsigned kind, record_view *record);

/* Does a callback of `entry` come next? Then *record is its record, not taken. */
int replay_callback_is_next(boundary_entry *entry, record_view *record);

/* Takes the record that says that a callback of `entry` is over; a divergence if another comes. */
void replay_expect_return(boundary_entry *entry);

#endif
