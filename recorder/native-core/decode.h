/* Reading the input stream of a replay: the flat file, mapped. */
#ifndef RETROSCOPE_DECODE_H
#define RETROSCOPE_DECODE_H

#include "encode.h"

typedef struct {
    uint16_t callable;
    uint8_t kind, flags;
    uint32_t digest, size;
    const char *payload;
} record_view;

/* Maps the flat stream behind `fd`, instead of the one before, and begins at its beginning: 0, or -1 with errno. */
int stream_map(int fd);

/* The next record, without taking it: 1, 0 at the end of the stream, -1 when it is damaged. */
int stream_peek(record_view *record);

/* The flags of the next record that is neither a note nor a clock; all ones at the end of the stream. */
unsigned stream_next_flags(void);

/* Takes the record stream_peek has shown. */
void stream_take(void);

/* Number of records taken. */
extern uint64_t stream_inputs;

/* A value at *p (before end): a new reference and *p moved on, or NULL with an exception.
 * References go to objects of `call` (may be NULL). */
PyObject *decode_value(const char **p, const char *end, const boundary_call *call);

/* Sets what loads pickled values: a Python callable (bytes) -> object. */
void decode_set_unpickler(PyObject *loads);

#endif
