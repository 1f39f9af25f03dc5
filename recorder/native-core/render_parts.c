#define Py_BUILD_CORE 1
#include "render_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- text ----------------------------------------------------------------------------------------------- */

void rendered_raw(rendering *out, const char *bytes, size_t size)
{
    if (out->cut)
        return;
    size_t room = RENDERED_BYTES - out->size;
    if (size > room) {
        out->cut = true;
        while (room > 0 && ((unsigned char)bytes[room] & 0xC0) == 0x80)
            room--; /* not inside a character */
        size = room;
    }
    memcpy(out->bytes + out->size, bytes, size);
    out->size += (uint32_t)size;
}

void rendered_text(rendering *out, const char *text)
{
    rendered_raw(out, text, strlen(text));
}

static size_t encode_character(Py_UCS4 c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(first[n] | c);
    return n;
}

size_t render_text(PyObject *text, char *out, size_t size, bool *cut)
{
    size_t used = 0;
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    if (PyUnicode_IS_ASCII(text)) {
        used = (size_t)length > size ? size : (size_t)length;
        memcpy(out, PyUnicode_DATA(text), used);
        *cut |= (size_t)length > size;
        return used;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        char bytes[4];
        size_t n = encode_character(PyUnicode_READ_CHAR(text, i), bytes);
        if (n > size - used) {
            *cut = true;
            break;
        }
        memcpy(out + used, bytes, n);
        used += n;
    }
    return used;
}

void rendered_plain_str(rendering *out, PyObject *text)
{
    char bytes[RENDERED_BYTES + 4];
    bool cut = false;
    size_t n = render_text(text, bytes, sizeof bytes - 4, &cut);
    rendered_raw(out, bytes, n);
    out->cut |= cut;
}

static void add_escape(rendering *out, Py_UCS4 c, char quote)
{
    char text[16];
    if (c == (Py_UCS4)quote || c == '\\')
        snprintf(text, sizeof text, "\\%c", (char)c);
    else if (c == '\n' || c == '\r' || c == '\t')
        snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    else if (c < 0x100)
        snprintf(text, sizeof text, "\\x%02x", (unsigned)c);
    else if (c < 0x10000)
        snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    else
        snprintf(text, sizeof text, "\\U%08x", (unsigned)c);
    rendered_text(out, text);
}

static bool needs_escape(Py_UCS4 c, char quote)
{
    return c == (Py_UCS4)quote || c == '\\' || (c < 0x80 ? c < ' ' || c == 0x7F : !Py_UNICODE_ISPRINTABLE(c));
}

/* Whether a byte stands for itself, whatever the quotes are. */
static inline bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x7F && c != '\'' && c != '"' && c != '\\';
}

/* The most frequent kind of text: true if it was of it, and is written. */
static bool add_plain_str(rendering *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!is_plain((unsigned char)text[i]))
            return false;
    rendered_raw(out, "'", 1);
    rendered_raw(out, text, size);
    rendered_raw(out, "'", 1);
    return true;
}

/* As repr() of its first 120 characters. */
void rendered_str(rendering *out, PyObject *text)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    bool is_cut = length > RENDERED_BYTES, has_single = false, has_double = false;
    length = is_cut ? RENDERED_BYTES : length;
    if (PyUnicode_IS_ASCII(text) && add_plain_str(out, PyUnicode_DATA(text), (size_t)length)) {
        out->cut |= is_cut;
        return;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        Py_UCS4 c = PyUnicode_READ_CHAR(text, i);
        has_single |= c == '\'';
        has_double |= c == '"';
    }
    char quote = has_single && !has_double ? '"' : '\'';
    rendered_raw(out, &quote, 1);
    for (Py_ssize_t i = 0; i < length && !out->cut; i++) {
        Py_UCS4 c = PyUnicode_READ_CHAR(text, i);
        char bytes[4];
        if (needs_escape(c, quote))
            add_escape(out, c, quote);
        else
            rendered_raw(out, bytes, encode_character(c, bytes));
    }
    rendered_raw(out, &quote, 1);
    out->cut |= is_cut;
}

void rendered_bytes(rendering *out, const char *bytes, Py_ssize_t size)
{
    bool is_cut = size > RENDERED_BYTES;
    size = is_cut ? RENDERED_BYTES : size;
    char quote = memchr(bytes, '\'', (size_t)size) && !memchr(bytes, '"', (size_t)size) ? '"' : '\'';
    rendered_raw(out, "b", 1);
    rendered_raw(out, &quote, 1);
    for (Py_ssize_t i = 0; i < size && !out->cut; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == (unsigned char)quote || c == '\\' || c < ' ' || c >= 0x7F)
            add_escape(out, c, quote);
        else
            rendered_raw(out, bytes + i, 1);
    }
    rendered_raw(out, &quote, 1);
    out->cut |= is_cut;
}

/* --- numbers -------------------------------------------------------------------------------------------- */

bool value_is_small_int(PyObject *value, int64_t *number)
{
    return is_small_int(value, number);
}

/* In decimal up to 120 bits, in hexadecimal above. */
void rendered_int(rendering *out, PyObject *number)
{
    const digit *digits = digits_of(number);
    Py_ssize_t n = digit_count(number);
    if (is_negative(number))
        rendered_raw(out, "-", 1);
    if (n <= 4) {
        unsigned __int128 size = 0;
        char text[48], *at = text + sizeof text;
        for (Py_ssize_t i = n; i-- > 0;)
            size = size << PyLong_SHIFT | digits[i];
        do
            *--at = (char)('0' + (int)(size % 10));
        while (size /= 10);
        rendered_raw(out, at, (size_t)(text + sizeof text - at));
        return;
    }
    rendered_raw(out, "0x", 2);
    bool begun = false;
    for (Py_ssize_t nibble = (n * PyLong_SHIFT + 3) / 4; nibble-- > 0 && !out->cut;) {
        unsigned value = 0;
        for (int bit = 3; bit >= 0; bit--) {
            Py_ssize_t at = nibble * 4 + bit;
            value = value << 1 | (at / PyLong_SHIFT < n ? digits[at / PyLong_SHIFT] >> at % PyLong_SHIFT & 1 : 0);
        }
        begun |= value != 0;
        if (begun)
            rendered_raw(out, &"0123456789abcdef"[value], 1);
    }
}

/* The shortest digits that give the number again, laid out as repr() does: a power of ten from 1e16 and below 1e-4. */
void rendered_float(rendering *out, double number)
{
    char digits[40];
    if (isnan(number) || isinf(number)) {
        rendered_text(out, isnan(number) ? "nan" : number < 0 ? "-inf" : "inf");
        return;
    }
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    char *power_at = strchr(digits, 'e'), *at = digits;
    int power = (int)strtol(power_at + 1, NULL, 10);
    *power_at = 0;
    if (*at == '-') {
        rendered_raw(out, "-", 1);
        at++;
    }
    char plain[24];
    size_t n = 0;
    for (; *at; at++)
        if (*at != '.')
            plain[n++] = *at;
    if (power < -4 || power >= 16) {
        char tail[16];
        rendered_raw(out, plain, 1);
        if (n > 1)
            rendered_raw(out, ".", 1);
        rendered_raw(out, plain + 1, n - 1);
        snprintf(tail, sizeof tail, "e%c%02d", power < 0 ? '-' : '+', abs(power));
        rendered_text(out, tail);
    } else if (power < 0) {
        rendered_raw(out, "0.0000", (size_t)(1 - power));
        rendered_raw(out, plain, n);
    } else {
        for (int i = 0; i <= power || (size_t)i < n; i++) {
            if (i == power + 1)
                rendered_raw(out, ".", 1);
            rendered_raw(out, (size_t)i < n ? &plain[i] : "0", 1);
        }
        if (n <= (size_t)power + 1)
            rendered_raw(out, ".0", 2);
    }
}

void rendered_complex(rendering *out, Py_complex number)
{
    /* As repr(): no real part where it is +0.0, and no ".0" in either. */
    rendering part = {.size = 0};
    bool has_real = number.real != 0.0 || signbit(number.real);
    double both[] = {number.real, number.imag};
    if (has_real)
        rendered_raw(out, "(", 1);
    for (int i = has_real ? 0 : 1; i < 2; i++) {
        part.size = 0;
        rendered_float(&part, both[i]);
        if (i == 1 && has_real && part.bytes[0] != '-')
            rendered_raw(out, "+", 1);
        if (part.size > 2 && memcmp(part.bytes + part.size - 2, ".0", 2) == 0)
            part.size -= 2;
        rendered_raw(out, part.bytes, part.size);
    }
    rendered_text(out, has_real ? "j)" : "j");
}
