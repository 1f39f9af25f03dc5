"""C types that do nothing outside, but whose repr or hash is made of an address.

What the interpreter has built in is taken over in registry.py; these come with their modules.
"""

from retroscope.recorder.boundary.declare import PASS, Module, Type

MODULES = [
    Module("_decimal", functions=PASS, types=[Type("Decimal", methods=PASS, hashes="sometimes")]),
    Module("_elementtree", functions=PASS, types=[Type("Element", methods=PASS, prints=True)]),
    Module(
        "_hashlib",
        functions=PASS,
        types=[Type(name, methods=PASS, prints=True) for name in ("HASH", "HASHXOF", "HMAC")],
    ),
    Module("_contextvars", functions=PASS, types=[
        Type("ContextVar", methods=PASS, prints=True),  # its hash: identity.c
        Type("Token", methods=PASS, prints=True),
    ]),
]
