/* What the observer writes of stores to attributes, items and names, seen before the instruction runs. */
#ifndef RETROSCOPE_OBSERVED_STORES_H
#define RETROSCOPE_OBSERVED_STORES_H

#include "observed_frames.h"

/* The frame is about to run the store at `site`. */
void observed_store(const frame *f, const code_facts *facts, const code_site *site);

/* An exception leaves the instruction at which the frame stands: a store that was about to happen there has not. */
void observed_store_fails(const frame *f);

#endif
