/* The parts that a rendering is put together from. Each adds to `out`; what does not fit is left away and marked. */
#ifndef RETROSCOPE_RENDER_PARTS_H
#define RETROSCOPE_RENDER_PARTS_H

#include "render.h"

void rendered_raw(rendering *out, const char *bytes, size_t size);
void rendered_text(rendering *out, const char *text);
void rendered_plain_str(rendering *out, PyObject *text); /* without quotes */
void rendered_str(rendering *out, PyObject *text);       /* as repr() of its first 120 characters */
void rendered_bytes(rendering *out, const char *bytes, Py_ssize_t size);
void rendered_int(rendering *out, PyObject *number);     /* decimal up to 120 bits, hexadecimal above */
void rendered_float(rendering *out, double number);
void rendered_complex(rendering *out, Py_complex number);

#endif
