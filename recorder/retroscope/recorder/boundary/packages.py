"""Packages whose extensions need no file of their own: they compute the same from the same, or reach the outside only
through Python or the C library, where their calls are recorded (recorder/native-core/foreign.h). Each was recorded and
replayed in a program that uses it."""

from retroscope.recorder.boundary.declare import PASS, Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from retroscope.recorder.annotations import Core

def _follow(core: "Core", greenlet: "ModuleType") -> None:
    core.greenlets_follow(greenlet)


MODULES = [Module("greenlet._greenlet", functions=PASS, ready=_follow)]

_NAMES = """
    aiohttp _argon2_cffi_bindings bcrypt _brotli _cffi_backend chardet charset_normalizer contourpy cryptography
    debugpy frozenlist gevent google greenlet h5py httptools kiwisolver line_profiler lxml lz4 markupsafe matplotlib
    msgpack msgspec multidict numpy orjson pandas PIL propcache psutil psycopg_binary pyarrow pycurl pydantic_core
    pyinstrument regex rpds scipy simplejson sklearn sqlalchemy ujson uvloop viztracer websockets _yaml yaml _yappi
    yarl zope zstandard
"""

LISTED = frozenset(_NAMES.split())
