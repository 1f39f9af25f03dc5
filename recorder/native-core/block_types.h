/* The types of observed values in the block that is being written: their names, and what objects of them are shown as. */
#ifndef RETROSCOPE_BLOCK_TYPES_H
#define RETROSCOPE_BLOCK_TYPES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    PyTypeObject *type;
    uint32_t version;   /* the interpreter's, of a class that can be changed */
    uint32_t block;
    uint32_t name;      /* string of the block */
    uint32_t shown;     /* the same, of an object of which no more than its type is shown */
    bool is_opaque;     /* its objects are such */
    bool is_cut;        /* what they are shown as is */
    uint8_t name_size;  /* of a class: of `qualified` */
    char qualified[128];
} block_type;

/* Until the next call. */
const block_type *block_type_of(PyTypeObject *type);

#endif
