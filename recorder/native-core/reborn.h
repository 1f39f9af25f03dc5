/* Objects at watched places: one that dies may leave its address to the next, and then the place holds another object
 * although its bytes are the same. The deaths are noticed where memory is given back and, for types that keep spare
 * objects, in their deallocs; both do what they did before.
 */
#ifndef RETROSCOPE_REBORN_H
#define RETROSCOPE_REBORN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many places as can be looked after. */
#define REBORN_PLACES 64

/* Of one place: the object that it holds, or (`is_object`) the object that is there itself. */
typedef struct {
    uint64_t address, is_object;
} reborn_place;

/* Replaces the places; false if there are too many. */
bool reborn_set(const reborn_place *places, size_t n);

/* As bits of watch_changed: which have died since the last line event and been followed by another at the same address,
 * the value of a place, or an object itself. Each is told once. Reads memory that may not be there: only where a fault is caught. */
unsigned reborn_since(bool is_line_event);

/* Begins to notice deaths in this process and its forks. */
void reborn_notice(void);

#endif
