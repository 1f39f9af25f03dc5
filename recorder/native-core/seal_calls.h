/* The system calls behind the seal, and the filter made from them. Linux only. */
#ifndef RETROSCOPE_SEAL_CALLS_H
#define RETROSCOPE_SEAL_CALLS_H

#include <linux/filter.h>
#include <stddef.h>

/* What of a trapped call's arguments is worth showing. */
enum seal_argument {
    SHOW_NOTHING,
    SHOW_PATH_0,  /* argument 0 is a path */
    SHOW_PATH_1,
    SHOW_FAMILY,  /* argument 0 is an address family */
    SHOW_SIGNAL,  /* a signal for another process or for itself */
};

typedef struct {
    int number;
    const char *name;
    enum seal_argument shown;
} sealed_call;

/* The call with this number, or NULL. */
const sealed_call *seal_find(int number);

#define SEAL_FILTER_MOST 512

/* Writes the filter program; returns its length. */
unsigned short seal_filter(struct sock_filter out[SEAL_FILTER_MOST]);

#endif
