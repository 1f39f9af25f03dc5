"""The recorder: inside the user's process, and beside it as the drain.

In: a program to run, exactly as plain Python would run it. Out: the program's input stream, through the ring, into a
trace. It must never change what the program does or shows, never lose an input, and never use a module that the
program may replace without a copy of its own.
"""
