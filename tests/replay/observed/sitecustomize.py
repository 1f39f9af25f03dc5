"""What variables hold, line by line, seen by plain Python: the oracle of test_observations.py.

Found by a plain interpreter through PYTHONPATH. Traces the program's own file and writes, at its end, one JSON array:
for each line event (thread, function, line, {variable: rendering} or null where variables are no slots), and for each
way out of a function (thread, function, null, rendering of what it returned or yielded, or null).
"""

import atexit
import dis
import json
import os
import sys
import threading

from rendering import render

PROGRAM = os.environ["OBSERVED_PROGRAM"]
RESULT = os.environ["OBSERVED_RESULT"]

events = []
numbers = threading.local()
started = []
OPTIMIZED = 1


def thread_number():
    """From 0, in the order in which threads run their first line."""
    if not hasattr(numbers, "own"):
        numbers.own = len(started)
        started.append(numbers.own)
    return numbers.own


def note_line(frame):
    code = frame.f_code
    slots = frame.f_locals if code.co_flags & OPTIMIZED else None
    shown = None if slots is None else {name: render(value) for name, value in slots.items()}
    events.append((thread_number(), code.co_qualname, frame.f_lineno, shown))


def note_leaving(code, value):
    events.append((thread_number(), code.co_qualname, None, render(value)))


def by_tracing():
    """3.11: what counts as a line event is what its trace function is told of. What leaves a function but at
    an instruction that returns or yields is an exception, and so is what leaves it right after one was thrown in."""
    leaving = {dis.opmap["RETURN_VALUE"], dis.opmap["YIELD_VALUE"]}
    thrown = set()

    def trace(frame, what, argument):
        if frame.f_code.co_filename != PROGRAM:
            return None
        if what == "line":
            note_line(frame)
        elif what == "return" and frame.f_code.co_code[frame.f_lasti] in leaving and id(frame) not in thrown:
            note_leaving(frame.f_code, argument)
        if what == "exception" and frame.f_code.co_code[frame.f_lasti] == dis.opmap["YIELD_VALUE"]:
            thrown.add(id(frame))
        else:
            thrown.discard(id(frame))
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    return lambda: (threading.settrace(None), sys.settrace(None))


def by_monitoring():
    """3.12 and later: sys.monitoring has no line event for a jump back within a line."""
    monitoring = sys.monitoring
    on = monitoring.events

    def on_line(code, line):
        if code.co_filename == PROGRAM:
            note_line(sys._getframe(1))

    def on_leaving(code, offset, value):
        if code.co_filename == PROGRAM:
            note_leaving(code, value)

    monitoring.use_tool_id(2, "oracle")
    monitoring.register_callback(2, on.LINE, on_line)
    monitoring.register_callback(2, on.PY_RETURN, on_leaving)
    monitoring.register_callback(2, on.PY_YIELD, on_leaving)
    # 3.13 tells of the line of a class statement in the class's body only where PY_START is asked for as well
    monitoring.register_callback(2, on.PY_START, lambda code, offset: None)
    monitoring.set_events(2, on.PY_START | on.LINE | on.PY_RETURN | on.PY_YIELD)
    return lambda: monitoring.set_events(2, 0)


def begin():
    stop = by_monitoring() if sys.version_info >= (3, 12) else by_tracing()

    def finish():
        stop()
        with open(RESULT, "w", encoding="utf-8") as file:
            json.dump(events, file)

    atexit.register(finish)


begin()
