#include "watch.h"

#include "reborn.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

/* Addresses and sizes are multiples of a word. */
typedef struct {
    uint64_t address, size;
} range;

static range ranges[WATCH_RANGES];
static uint32_t range_count;
static uint64_t kept[WATCH_BYTES / sizeof(uint64_t)];
static bool absent;

static sigjmp_buf unreadable;
static volatile sig_atomic_t reading;

bool watch_set(const char *body, size_t size)
{
    range wanted[WATCH_RANGES];
    reborn_place places[REBORN_PLACES];
    uint32_t n, m;
    uint64_t bytes = 0;
    if (size < sizeof n + sizeof m)
        return false;
    memcpy(&n, body, sizeof n);
    memcpy(&m, body + sizeof n, sizeof m);
    body += sizeof n + sizeof m;
    size -= sizeof n + sizeof m;
    if (n > WATCH_RANGES || m > REBORN_PLACES || size != n * sizeof(range) + m * sizeof(reborn_place))
        return false;
    memcpy(wanted, body, n * sizeof(range));
    memcpy(places, body + n * sizeof(range), m * sizeof(reborn_place));
    for (uint32_t i = 0; i < n; i++) {
        if (wanted[i].address % sizeof *kept || wanted[i].size % sizeof *kept || wanted[i].size > WATCH_BYTES)
            return false;
        bytes += wanted[i].size;
    }
    if (bytes > WATCH_BYTES || !reborn_set(places, m))
        return false;
    memcpy(ranges, wanted, sizeof ranges);
    range_count = n;
    return true;
}

/* Compares with what was kept and keeps what is there. The sanitizer must not look: much of this is freed memory. */
__attribute__((no_sanitize("address"))) static bool compare_and_keep(void)
{
    uint64_t *copy = kept, difference = 0;
    for (uint32_t i = 0; i < range_count; i++) {
        const volatile uint64_t *word = (const volatile uint64_t *)(uintptr_t)ranges[i].address;
        for (uint64_t left = ranges[i].size / sizeof *word; left > 0; left--) {
            uint64_t now = *word++;
            difference |= now ^ *copy;
            *copy++ = now;
        }
    }
    return difference != 0;
}

unsigned watch_changed(bool is_line_event)
{
    const volatile bool was_absent = absent;  /* read after the jump */
    if (sigsetjmp(unreadable, 0)) {
        absent = true;
        return was_absent ? 0 : WATCH_BYTES_CHANGED;
    }
    reading = 1;
    bool changed = compare_and_keep();
    unsigned reborn = reborn_since(is_line_event);
    reading = 0;
    absent = false;
    return (changed || was_absent ? WATCH_BYTES_CHANGED : 0) | reborn;
}

__attribute__((no_sanitize("address"))) bool watch_read(uintptr_t address, uint64_t *word)
{
    if (sigsetjmp(unreadable, 0))
        return false;
    reading = 1;
    *word = *(const volatile uint64_t *)address;
    reading = 0;
    return true;
}

void watch_begin(void)
{
    reborn_notice();
    watch_changed(true);
}

void watch_fault(void)
{
    if (!reading)
        return;
    reading = 0;
    siglongjmp(unreadable, 1);
}
