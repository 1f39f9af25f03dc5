"""Which build of Retroscope and of Python made a recording: kept in it, for a replay runs the same code again."""

from __future__ import annotations

import os
from hashlib import blake2b


def build_facts(recorder: str, core: str, interpreter: str) -> dict[str, str]:
    """`recorder`: the folder of the recorder's Python files; `core`: the hash of the native core's sources;
    `interpreter`: what tells this build of Python from others of its version, empty: nothing does."""
    return {"core": core, "recorder": _hash_of_files(recorder), "interpreter": interpreter}


def _hash_of_files(folder: str) -> str:
    digest = blake2b(digest_size=16)
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if each != "__pycache__")
        for name in sorted(name for name in files if name.endswith(".py")):
            path = os.path.join(root, name)
            with open(path, "rb") as file:
                content = file.read()
            digest.update(f"{os.path.relpath(path, folder)} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()
