/* How an observed value is shown, in C, without running code of the program and without allocating.
 *
 * Exact builtin types by content in Python's notation, everything else by its type: docs/observations.md.
 */
#ifndef RETROSCOPE_RENDER_H
#define RETROSCOPE_RENDER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#define RENDERED_BYTES 120
#define RENDERED_ITEMS 10
#define RENDERED_DEPTH 4

/* A prefix of what the whole value would be shown as; `cut`: there is more. */
typedef struct {
    char bytes[RENDERED_BYTES];
    uint32_t size;
    bool cut;
} rendering;

enum value_flags { VALUE_CUT = 1, VALUE_MUTABLE = 2 };

void render_value(PyObject *value, rendering *out);

/* "module.Qualified" of a type, the bare name of a builtin. */
void render_type_name(PyTypeObject *type, rendering *out);

/* Whether objects of the type are shown as "<module.Type>" and no more; and that. */
bool type_is_opaque(PyTypeObject *type);
void render_opaque(PyTypeObject *type, rendering *out);

/* UTF-8 of a str, lone surrogates too; cut at `size` bytes at the border of a character. Bytes written. */
size_t render_text(PyObject *text, char *out, size_t size, bool *cut);

/* Whether the text alone says what the value is, unless it is cut: its address does not matter. */
bool value_is_atom(PyObject *value);

/* Whether what is shown of the value can change while it stays the same object. */
bool value_is_mutable(PyObject *value);

/* The same number for values that are shown alike; different ones for others, but for chance. *changeable is set if
 * what is shown may become another while the object stays. */
uint64_t value_fingerprint(PyObject *value, bool *changeable);

/* An int of at most 62 bits. */
bool value_is_small_int(PyObject *value, int64_t *number);

/* Must be called once, with the GIL: 0, or -1 with an exception set. */
int render_prepare(void);

#endif
