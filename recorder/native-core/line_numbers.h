/* Line numbers of long functions, in replay on 3.12 and later.
 *
 * The interpreter asks PyCode_Addr2Line() for the line at each line event of a function that spans more than 127 lines,
 * and that reads the table of lines from its beginning: a function of 2,000 lines took 100 times as long to replay as
 * to record. So its first instructions are replaced by a jump to ours, which reads each table once. */
#ifndef RETROSCOPE_LINE_NUMBERS_H
#define RETROSCOPE_LINE_NUMBERS_H

/* Puts ours in its place, once, where this machine lets it; the other way is slower and gives the same. Before the
 * seal. 0, or -1 with an exception set. */
int line_numbers_start(void);

#endif
