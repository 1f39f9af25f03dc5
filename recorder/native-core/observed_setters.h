/* The ways in which a program's Python code lets C code store attributes: setattr(), delattr(), and __setattr__ and
 * __delattr__ of builtin types. */
#ifndef RETROSCOPE_OBSERVED_SETTERS_H
#define RETROSCOPE_OBSERVED_SETTERS_H

/* Finds them, before the program runs. */
void observed_setters_prepare(void);

/* Puts the observer in front of them, for ever. */
void observed_setters_begin(void);

#endif
