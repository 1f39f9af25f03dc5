"""The Python API: a recorded run as plain objects and iterators, for scripts and for front ends.

In: a trace file. Out: `Trace`, and from it moments, frames, values, inputs and output. It must never hand out a value
that was not computed at exactly the moment it names, and holds no replay logic: that is `retroscope.replay`'s.

`retroscope.open` is `retroscope.api.open`, and so for every name here. See docs/api.md.
"""

from retroscope.api.calls import Call, Outcome
from retroscope.api.frames import Frame, Names, Task, Thread
from retroscope.api.moments import Moment
from retroscope.api.recorded import Trace, open
from retroscope.api.records import Input, Output
from retroscope.api.values import Value
from retroscope.replay.moments import Diverged, ReplayError, StopReason, WhatIf
from retroscope.trace import Process, RetroscopeError, TraceError

__all__ = [
    "Call", "Diverged", "Frame", "Input", "Moment", "Names", "Outcome", "Output", "Process", "ReplayError",
    "RetroscopeError", "StopReason", "Task", "Thread", "Trace", "TraceError", "Value", "WhatIf", "open",
]  # fmt: skip
