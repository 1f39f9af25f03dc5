/* The observer sees memory of the program freed: the frees of the interpreter's allocators pass through here. What is
 * taken and given stays as it is. */
#ifndef RETROSCOPE_OBSERVED_FREES_H
#define RETROSCOPE_OBSERVED_FREES_H

/* From now on the arena's memory can be given to PyMem_Free, which leaves it alone. Also for the forks of an observer,
 * for ever. */
void observed_frees_begin(void);

#endif
