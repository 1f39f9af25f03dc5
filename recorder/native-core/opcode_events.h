/* 3.13: opcode events of sys.settrace, which pdb.set_trace() uses, beside a monitoring tool of ours. */
#ifndef RETROSCOPE_OPCODE_EVENTS_H
#define RETROSCOPE_OPCODE_EVENTS_H

/* To be called before events of a tool of ours are switched on. */
void opcode_events_keep(void);

#endif
