/* Where memory runs out, and how much of it a replay may use.
 *
 * An allocation that fails in the program while it is recorded is named by its size, the instruction that asked, and how
 * manieth of these it was since the last record; replay lets the same one fail. Only those that the interpreter hands on to
 * the C library are counted, of more than 512 bytes: its own pools of small objects are filled otherwise in a replay. When
 * one of those fails, the recording says that nobody knows which. Linux only, as for how much memory is used.
 */
#ifndef RETROSCOPE_ALLOCATIONS_H
#define RETROSCOPE_ALLOCATIONS_H

#include "core.h"

/* From now on, in both modes. */
void allocations_watch(void);

/* Recording: a record was written. */
void allocations_from_here(void);

/* What an extension's calls of this function of the C library are to go to, instead of `*real`; NULL: it gives out no
 * memory. */
void *allocations_exchange(const char *name, void **real);

/* Replay: a record was taken; is the next one that of an allocation that failed? */
void allocations_look_ahead(void);

#endif
