"""The replay: runs the recorded program again, sealed, and moves to any moment of it.

In: a trace. Out: moments, frames, values and output, through `retroscope.replay.timeline`. It must never show a value
that was not computed at exactly the moment it names, never let a replay process touch the machine, and never call a
replay that differed from its record a success.
"""
