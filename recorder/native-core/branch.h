/* A what-if branch: a replay process that goes on after something was changed in it, until it asks the outside for
 * something that the recording does not answer; then it diverges. Linux only.
 *
 * What it writes to the program's output needs no answer but "all of it", so that may differ from the recording: it goes
 * to a file in memory that the controller reads. Addresses in default reprs may be more or fewer as well. */
#ifndef RETROSCOPE_BRANCH_H
#define RETROSCOPE_BRANCH_H

#include "boundary.h"
#include "decode.h"

#include <stdbool.h>

/* Whether this process is a branch, or a fork of one. */
extern bool branch_is_here;

/* Makes this process a branch whose output goes to the file behind `fd` (docs/architecture.md, Seam 4), and limits its
 * time and memory as those of a look. False when the file cannot be used; nothing is changed then. */
bool branch_begin(int fd);

/* What a write to the program's output or error gives: how much was written, a new reference. NULL without an exception:
 * this call is no such write; with one: its argument is wrong. Takes the record of that write, if it comes next. */
PyObject *branch_write(boundary_entry *entry, const boundary_call *call);

/* Whether `record`, which comes next, is one that a branch may leave out, where one of `wanted` kind is due. */
bool branch_passes(const record_view *record, unsigned wanted);

/* In a branch: whether the recording has no addresses here. */
bool branch_lacks_addresses(void);

#endif
