"""Packages whose extensions need no file of their own: they compute the same from the same, or reach the outside only
through Python or the C library, where their calls are recorded (recorder/native-core/foreign.h)."""

from retroscope.recorder.boundary.declare import Module

MODULES: "list[Module]" = []

_NAMES = """
    aiohttp asyncpg bcrypt brotli cffi _cffi_backend charset_normalizer contourpy coverage cryptography cv2 cython
    debugpy fontTools frozenlist google googleapiclient greenlet h5py hiredis httptools jiter joblib kiwisolver lxml
    markupsafe matplotlib msgpack multidict mypy mypyc mypy_extensions numexpr numpy orjson pandas PIL propcache
    psutil psycopg_binary psycopg_c psycopg2 pydantic_core _pydantic_core pyarrow pymongo bson ruamel rapidfuzz
    regex rpds _ruamel_yaml scipy selectolax setproctitle shapely simplejson sklearn sqlalchemy sqlglotrs tiktoken
    tokenizers toml tornado tree_sitter ujson uvloop watchfiles websockets wrapt yaml _yaml yarl zmq zope zstandard
    xxhash lz4 blosc snappy
"""

LISTED = frozenset(_NAMES.split())
