/* What the observer writes of stores to attributes, items and names, seen before the instruction runs. */
#ifndef RETROSCOPE_OBSERVED_STORES_H
#define RETROSCOPE_OBSERVED_STORES_H

#include "observed_frames.h"

/* The frame is about to run the store at `site`. */
void observed_store(const frame *f, const code_facts *facts, const code_site *site);

/* C code stores to a dict that facts of these kinds were about, or deletes from it (NULL). */
void observed_dict_store(PyObject *dict, PyObject *key, PyObject *value, unsigned kinds);

/* C code is about to store to an attribute by this function, or to delete it (NULL). */
void observed_attribute_store(PyObject *object, PyObject *name, PyObject *value, setattrofunc store);

/* An exception leaves the instruction at which the frame stands: a store that was about to happen there has not. */
void observed_store_fails(const frame *f);

#endif
