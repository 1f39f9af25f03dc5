/* How many values a frame has on its stack before each instruction: the interpreter keeps that number in a register
 * while an instruction runs. */
#ifndef RETROSCOPE_STACK_DEPTH_H
#define RETROSCOPE_STACK_DEPTH_H

#include "bytecode.h"

/* For each code unit at which an instruction begins; -1: nothing gets there. */
void stack_depths(PyCodeObject *code, int16_t *depths);

/* How many values the instruction of a site takes from the stack. */
int stack_needed(enum site_kind kind, bool is_constant);

#endif
