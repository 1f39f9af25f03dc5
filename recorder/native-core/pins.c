#include "pins.h"

#include <stdlib.h>
#include <string.h>

static PyObject **pins;           /* in the order in which they came */
static size_t used, room;
static uint32_t *numbers;         /* by address: 1 + index in `pins`, 0: free; twice as many as there is room */
static PyObject *last;            /* many objects of one class come in a row */

static uint32_t *number_of(PyObject *object)
{
    size_t i = ((uintptr_t)object >> 4) * 0x9E3779B97F4A7C15ull >> 20;
    while (numbers[i & (2 * room - 1)] && pins[numbers[i & (2 * room - 1)] - 1] != object)
        i++;
    return &numbers[i & (2 * room - 1)];
}

static void number_all(void)
{
    memset(numbers, 0, 2 * room * sizeof *numbers);
    for (size_t i = 0; i < used; i++)
        *number_of(pins[i]) = (uint32_t)i + 1;
}

static bool grow(void)
{
    size_t wanted = room ? 2 * room : 256;
    PyObject **more_pins = wanted < UINT32_MAX ? realloc(pins, wanted * sizeof *pins) : NULL;
    if (!more_pins)
        return false;
    pins = more_pins;
    uint32_t *more_numbers = realloc(numbers, 2 * wanted * sizeof *numbers);
    if (!more_numbers)
        return false;
    numbers = more_numbers;
    room = wanted;
    number_all();
    return true;
}

bool pins_add(PyObject *object)
{
    if (object == last)
        return true;
    if (used == room && !grow())
        return false;
    uint32_t *number = number_of(object);
    if (!*number) {
        pins[used++] = Py_NewRef(object);
        *number = (uint32_t)used;
    }
    last = object;
    return true;
}

void pins_visit(visitproc visit, void *argument)
{
    for (size_t i = 0; i < used; i++)
        visit(pins[i], argument);
}

size_t pins_take(bool (*is_wanted)(PyObject *), PyObject **taken)
{
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < used; i++) {
        if (is_wanted(pins[i]))
            taken[n++] = pins[i];
        else
            pins[kept++] = pins[i];
    }
    used = kept;
    last = NULL;
    if (n > 0)
        number_all();
    return n;
}

size_t pins_used(void)
{
    return used;
}
