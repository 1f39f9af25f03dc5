/* Text built in a buffer of fixed size: works while the Python heap must not be touched, and in signal handlers. */
#ifndef RETROSCOPE_MESSAGE_H
#define RETROSCOPE_MESSAGE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* What does not fit is cut off, and the text then ends in MESSAGE_CUT. */
#define MESSAGE_CUT " [cut]"

typedef struct {
    char *bytes;
    size_t capacity;  /* of `bytes`, at least 64 */
    size_t size;      /* used; bytes[size] is NUL */
    bool cut;
} message;

/* An empty message in the given buffer. */
message message_in(char *bytes, size_t capacity);

void message_add(message *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
void message_add_list(message *m, const char *format, va_list values);
void message_add_bytes(message *m, const char *bytes, size_t n);

/* Adds a str as the operating system has its file names: UTF-8, undecodable bytes (U+DC80 to U+DCFF) as they
 * were, other lone surrogates as three bytes. Allocates nothing. */
void message_add_str(message *m, PyObject *str);

/* Adds UTF-8 text as a JSON string with its quotes. */
void message_add_json(message *m, const char *utf8);

/* Whether the str, encoded as message_add_str does, is exactly these bytes. Allocates nothing. */
bool message_str_is(PyObject *str, const char *utf8, size_t n);

#endif
