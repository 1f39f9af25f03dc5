"""The end of an oracle that looks at a program before each of its lines, in a plain Python of its own."""

from __future__ import annotations

RUN = """
if sys.version_info >= (3, 12):
    m = sys.monitoring
    m.use_tool_id(0, "oracle")
    m.register_callback(0, m.events.LINE, lambda c, line: event(line) if c.co_filename == path else None)
    m.set_events(0, m.events.LINE)
    exec(code, space)
    m.set_events(0, 0)
else:
    def trace(frame, what, arg):
        if what == "line" and frame.f_code.co_filename == path:
            event(frame.f_lineno)
        return trace
    sys.settrace(trace)
    exec(code, space)
    sys.settrace(None)
"""
"""Runs `code`, the program at `path`, in `space`, and calls `event(line)` before each line. Needs `sys`."""
