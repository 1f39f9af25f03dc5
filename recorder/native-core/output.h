/* Which descriptors are the program's standard output and error: those that lead where 1 and 2 led at its start. */
#ifndef RETROSCOPE_OUTPUT_H
#define RETROSCOPE_OUTPUT_H

/* Recording begins: where do 1 and 2 lead? */
void output_open(void);

/* The program has duplicated a descriptor: from now on any of them may lead there. */
void output_duplicated(void);

/* 1 or 2 when what is written to `fd` is the program's output or error, else 0. Costs a system call for
 * 1 and 2, and for all others once there are duplicates. */
int output_stream(int fd);

#endif
