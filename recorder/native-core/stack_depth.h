/* How many values a frame has on its stack before each instruction. From 3.12 on the interpreter keeps that number in
 * a register while it tells of an instruction; 3.11 has it in the frame. */
#ifndef RETROSCOPE_STACK_DEPTH_H
#define RETROSCOPE_STACK_DEPTH_H

#include "bytecode.h"

#define stack_depths_known (PY_VERSION_HEX >= 0x030C0000)

/* For each code unit at which an instruction begins; -1: nothing gets there. 3.12 and later. */
void stack_depths(PyCodeObject *code, int16_t *depths);

/* How many values the instruction of a site takes from the stack. */
int stack_needed(enum site_kind kind, bool is_constant);

#endif
