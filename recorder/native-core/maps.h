/* The maps of the program: its `mmap` objects that other processes or files have to do with. */
#ifndef RETROSCOPE_MAPS_H
#define RETROSCOPE_MAPS_H

#include "core.h"

#include <stdbool.h>
#include <sys/types.h>

/* What is known of CPython's mmap objects, 3.11 to 3.13. */
typedef struct {
    PyObject_HEAD
    char *data;              /* NULL once it is closed */
    Py_ssize_t size;
    Py_ssize_t pos;
    off_t offset;
    Py_ssize_t exports;
} mmap_object;

/* When others may write into a map. mappings.py has the same numbers, and they are in the record. */
enum map_watch {
    WATCH_NEVER,
    WATCH_LATER,             /* once this process has started another */
    WATCH_NOW,
    WATCH_NOW_ALL,           /* and then into every other map as well */
};

typedef struct mapping {
    struct mapping *next;
    mmap_object *object;     /* borrowed: its dealloc takes it out of the list */
    int64_t number;
    char *data;
    size_t size;
    char *picture;           /* once others may write: what the memory held at the last comparison */
    enum map_watch watch;
    bool shared;             /* what is written there shows elsewhere */
    bool of_file;            /* what the program writes to this file shows in it: */
    dev_t device;
    ino_t file;
    int64_t offset;          /* in the file */
    bool lent;               /* replay: others' objects have this memory too, or this one has theirs */
} mapping;

/* All of them, the newest first. */
extern mapping *maps;

/* Is there a map of a file? */
extern bool maps_of_files;

/* Is it what it was when it was made? Else it was closed or resized. */
static inline bool map_is_whole(const mapping *m)
{
    return m->object->data == m->data && (size_t)m->object->size == m->size;
}

int maps_register(PyObject *module);

#endif
