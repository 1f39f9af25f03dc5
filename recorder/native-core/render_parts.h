/* The parts that a rendering is put together from. Each adds to `out`; what does not fit is left away and marked. */
#ifndef RETROSCOPE_RENDER_PARTS_H
#define RETROSCOPE_RENDER_PARTS_H

#include "render.h"

#include <internal/pycore_long.h> /* Py_BUILD_CORE is defined by whoever includes this */

void rendered_raw(rendering *out, const char *bytes, size_t size);
void rendered_text(rendering *out, const char *text);
void rendered_plain_str(rendering *out, PyObject *text); /* without quotes */
void rendered_str(rendering *out, PyObject *text);       /* as repr() of its first 120 characters */
void rendered_bytes(rendering *out, const char *bytes, Py_ssize_t size);
void rendered_int(rendering *out, PyObject *number);     /* decimal up to 120 bits, hexadecimal above */
void rendered_float(rendering *out, double number);
void rendered_complex(rendering *out, Py_complex number);

/* --- ints: of each value of every line, so inline ------------------------------------------------------------ */

static inline Py_ssize_t digit_count(PyObject *number)
{
#if PY_VERSION_HEX >= 0x030C0000
    return _PyLong_DigitCount((PyLongObject *)number);
#else
    Py_ssize_t size = Py_SIZE(number);
    return size < 0 ? -size : size;
#endif
}

static inline bool is_negative(PyObject *number)
{
#if PY_VERSION_HEX >= 0x030C0000
    return _PyLong_IsNegative((PyLongObject *)number);
#else
    return Py_SIZE(number) < 0;
#endif
}

static inline const digit *digits_of(PyObject *number)
{
#if PY_VERSION_HEX >= 0x030C0000
    return ((PyLongObject *)number)->long_value.ob_digit;
#else
    return ((PyLongObject *)number)->ob_digit;
#endif
}

static inline bool is_small_int(PyObject *value, int64_t *number)
{
    if (!PyLong_CheckExact(value) || digit_count(value) > 2)
        return false;
    const digit *digits = digits_of(value);
    Py_ssize_t n = digit_count(value);
    int64_t size = n == 0 ? 0 : n == 1 ? (int64_t)digits[0] : (int64_t)digits[0] | (int64_t)digits[1] << PyLong_SHIFT;
    *number = is_negative(value) ? -size : size;
    return true;
}

#endif
