/* Silent collections: garbage whose death nobody can see, freed at a place that is not recorded.
 *
 * To the program a silent collection must be as if it had not been, for recording and replay run theirs at different
 * places. So it frees a connected piece of garbage only if none of its objects' deaths could be seen; keeps alive, until
 * the next real collection, everything that the piece referred to (its garbage would have kept it alive); and keeps
 * generation and order of all other objects, because finalizers run in that order. See
 * docs/adr/001-collections-nobody-sees.md.
 */
#ifndef RETROSCOPE_SILENT_H
#define RETROSCOPE_SILENT_H

#include "gc_lists.h"

#include <stdbool.h>

/* What a silent collection has freed since the last real one. */
enum silent_effect {
    SILENT_NOTHING,
    SILENT_YOUNG, /* only what any real collection would have freed */
    SILENT_OLD,   /* also what only a full one would have freed: the next real one must be full */
};

/* The objects that survived a silent collection are out of CPython's lists until the next real one. Frees what it may
 * of the youngest generation, and as survivors pile up of the older ones, of the oldest only with `old_too`. */
enum silent_effect silent_collect(gc_state *state, bool old_too);

/* Sets the youngest generation aside without looking at it. */
void silent_set_aside(gc_state *state);

/* Puts everything back for a real collection, for a look at the lists, or for good. */
void silent_put_back(gc_state *state);

/* Gives up what is kept alive for garbage that is gone: a real collection begins and will see it as garbage. */
void silent_release(void);

#endif
