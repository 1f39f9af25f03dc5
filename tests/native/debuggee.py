"""A replay process without a recording: runs a program under the control loop. `debuggee.py CONTROL_FD PROGRAM`.

The inspector here evaluates the one expression it is sent, in the frame or, without one, alone.
"""

from __future__ import annotations

import json  # noqa: F401  (the oracle has it too: its import must not run inside the counted program)
import os
import sys
import sysconfig

from retroscope.recorder import _core


def inspect(stream: int, core: object, frame: object) -> None:
    expression = os.read(stream, 65536).decode()
    names = dict(frame.f_globals, **frame.f_locals) if frame else {}  # type: ignore[attr-defined]
    names.update(frame=frame, core=core, sys=sys, os=os)
    try:
        answer = repr(eval(expression, names))
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    os.write(stream, answer.encode())


def main() -> None:
    control, path = int(sys.argv[1]), sys.argv[2]
    with open(path, encoding="utf-8") as file:
        code = compile(file.read(), path, "exec")
    _core.set_library_prefixes((sysconfig.get_path("stdlib"),))
    if len(sys.argv) > 3:
        _core.set_look_limits(float(sys.argv[3]), 1 << 28)
    names = {"__name__": "__main__", "__builtins__": __builtins__}
    _core.ticks_hide()
    _core.replay_begin(control, inspect)
    try:
        _core.ticks_counted(exec, (code, names))
    except BaseException as error:
        _core.control_end(1, type(error).__name__, error)
    _core.control_end(0, None, None)


main()
