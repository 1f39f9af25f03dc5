#include "message.h"

#include <stdio.h>
#include <string.h>

message message_in(char *bytes, size_t capacity)
{
    bytes[0] = '\0';
    return (message){.bytes = bytes, .capacity = capacity};
}

static void cut(message *m)
{
    size_t mark = sizeof MESSAGE_CUT - 1;
    if (m->size > m->capacity - 1 - mark)
        m->size = m->capacity - 1 - mark;
    while (m->size > 0 && ((unsigned char)m->bytes[m->size] & 0xC0) == 0x80)
        m->size--;  /* not inside a UTF-8 sequence */
    memcpy(m->bytes + m->size, MESSAGE_CUT, mark + 1);
    m->size += mark;
    m->cut = true;
}

void message_add_bytes(message *m, const char *bytes, size_t n)
{
    if (m->cut)
        return;
    size_t room = m->capacity - 1 - m->size;
    size_t taken = n < room ? n : room;
    memcpy(m->bytes + m->size, bytes, taken);
    m->size += taken;
    m->bytes[m->size] = '\0';
    if (taken < n)
        cut(m);
}

void message_add_list(message *m, const char *format, va_list values)
{
    if (m->cut)
        return;
    size_t room = m->capacity - m->size;
    int n = vsnprintf(m->bytes + m->size, room, format, values);
    if (n < 0)
        return;
    if ((size_t)n < room) {
        m->size += (size_t)n;
        return;
    }
    m->size = m->capacity - 1;
    cut(m);
}

void message_add(message *m, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    message_add_list(m, format, values);
    va_end(values);
}

/* One code point into `out`; returns how many bytes. */
static size_t encode_point(Py_UCS4 c, char out[4])
{
    if (c >= 0xDC80 && c <= 0xDCFF) {
        out[0] = (char)(c - 0xDC00);
        return 1;
    }
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

void message_add_str(message *m, PyObject *str)
{
    if (!str || !PyUnicode_Check(str)) {
        message_add(m, "?");
        return;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(str);
    int kind = PyUnicode_KIND(str);
    const void *data = PyUnicode_DATA(str);
    for (Py_ssize_t i = 0; i < length; i++) {
        char bytes[4];
        message_add_bytes(m, bytes, encode_point(PyUnicode_READ(kind, data, i), bytes));
    }
}

void message_add_json(message *m, const char *utf8)
{
    message_add(m, "\"");
    for (; *utf8; utf8++) {
        unsigned char c = (unsigned char)*utf8;
        if (c == '"' || c == '\\')
            message_add(m, "\\%c", c);
        else if (c < 0x20)
            message_add(m, "\\u%04x", c);
        else
            message_add_bytes(m, utf8, 1);
    }
    message_add(m, "\"");
}

bool message_str_is(PyObject *str, const char *utf8, size_t n)
{
    if (!PyUnicode_Check(str))
        return false;
    Py_ssize_t length = PyUnicode_GET_LENGTH(str);
    const void *data = PyUnicode_DATA(str);
    if (PyUnicode_IS_ASCII(str))
        return (size_t)length == n && memcmp(data, utf8, n) == 0;
    size_t at = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        char bytes[4];
        size_t taken = encode_point(PyUnicode_READ(PyUnicode_KIND(str), data, i), bytes);
        if (taken > n - at || memcmp(utf8 + at, bytes, taken) != 0)
            return false;
        at += taken;
    }
    return at == n;
}
