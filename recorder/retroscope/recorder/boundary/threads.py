"""Identity of threads. (Their order is the turn's business.)"""

from retroscope.recorder.boundary.declare import PASS, RESULT, Module

MODULES = [
    Module(
        "_thread",
        functions=PASS,
        special={"get_ident": RESULT, "get_native_id": RESULT, "_get_main_thread_ident": RESULT},
    ),
]
