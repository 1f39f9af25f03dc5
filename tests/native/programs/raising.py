"""Exceptions newly raised, passed on and raised again. Every line that raises newly says so."""
# ruff: noqa: B007, SIM105

import json


def missing():
    return {}["key"]  # raises


def middle():
    return missing()


def outer():
    try:
        middle()
    finally:
        cleaned = True
    return cleaned


def again():
    try:
        outer()
    except KeyError as error:
        kept = error
        try:
            raise kept  # raises
        except KeyError:
            pass
    try:
        outer()
    except KeyError:
        raise


class Ends:
    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration  # raises


def generator():
    try:
        yield 1
    except ValueError:
        yield 2


class Manager:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return True


def wrapped():
    try:
        int("x")  # raises
    except ValueError as error:
        raise RuntimeError("wrapped") from error  # raises


for name in ("middle", "outer", "again"):
    try:
        globals()[name]()
    except KeyError:
        pass
for _ in Ends():
    pass
for value in iter([1, 2]):
    pass
g = generator()
next(g)
g.throw(ValueError("thrown"))
with Manager():
    raise OSError("swallowed")  # raises
hasattr(object(), "nothing")
try:
    wrapped()
except RuntimeError:
    pass
quiet = list(map(int, ["1", "2"]))
try:
    list(map(int, ["1", "x"]))  # raises
except ValueError:
    pass
try:
    json.loads("{")  # library
except ValueError:
    pass
outer()
