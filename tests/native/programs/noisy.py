"""Writes to its standard streams and changes global state that a looker may then spoil."""

import sys

state = {"count": 0}
for i in range(5):
    state["count"] += 1
    print("output", i)
    print("error", i, file=sys.stderr)
done = True
