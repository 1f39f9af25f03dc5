"""OpenSSL through `_ssl`: its randomness and its connections."""

from retroscope.recorder.boundary.declare import PASS, RESULT, Module

MODULES = [
    Module("_ssl", functions=PASS, special={"RAND_bytes": RESULT, "RAND_status": RESULT, "RAND_add": RESULT,
                                            "get_default_verify_paths": RESULT}),
]
