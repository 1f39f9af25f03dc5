"""Makes and drops connected objects as its first argument says (JSON), and prints every death that can be seen.

Second argument `explicit`: no automatic collections, as plain Python must run to do what a recorded run does here.
Collections are asked for; in between it crosses no boundary.
"""

import collections
import gc
import json
import sys
import weakref

log: list[object] = []
watched: list[weakref.ref] = []
pool: dict[int, tuple[object, list]] = {}


class Node:
    """Dies silently, unless a weak reference points to it."""

    def __init__(self, refs: list) -> None:
        self.refs = refs


class Slotted:
    __slots__ = ("__weakref__", "refs")

    def __init__(self, refs: list) -> None:
        self.refs = refs


class Noisy(Node):
    number = 0

    def __init__(self, refs: list) -> None:
        super().__init__(refs)
        Noisy.number += 1
        self.number = Noisy.number

    def __del__(self) -> None:
        log.append(("del", self.number, len(self.refs)))


class Phoenix(Noisy):
    def __del__(self) -> None:
        log.append(("rises", self.number))
        Phoenix.risen = self


class Bare(int):
    """Plain data, and yet its death shows."""

    __slots__ = ()

    def __del__(self) -> None:
        log.append(("bare", int(self)))


def suspended(refs: list):
    try:
        yield refs
    finally:
        log.append(("closed", len(refs)))


def generator(refs: list) -> object:
    made = suspended(refs)
    next(made)
    return made


def finished(refs: list) -> object:
    made = (each for each in refs)
    list(made)
    return [made, refs]


def error(refs: list) -> object:
    try:
        raise ValueError(refs)
    except ValueError as raised:
        raised.myself = raised
        return raised


MAKERS = [
    Node, Slotted, Noisy, Phoenix, generator, finished, error,
    lambda refs: refs, lambda refs: {"refs": refs}, lambda refs: (lambda: refs), lambda refs: (Bare(len(log)), refs),
    lambda refs: collections.deque([refs]), lambda refs: collections.OrderedDict(refs=refs),
    lambda refs: Node(refs).__init__, lambda refs: {"deep": ((), (1, (Bare(len(pool)),))), "refs": refs},
    lambda refs: type("Class", (Node,), {"refs": refs}), lambda refs: weakref.ref(Node(refs)), memoryview,
]  # fmt: skip


def make(slot: int, kind: int, in_a_cycle: bool) -> None:
    refs: list = []
    maker = MAKERS[kind % len(MAKERS)]
    made = Node([memoryview(bytearray(b"x")), refs]) if maker is memoryview else maker(refs)
    if in_a_cycle:
        refs.append(made)
    pool[slot] = made, refs


def link(a: int, b: int) -> None:
    if a in pool and b in pool:
        pool[a][1].append(pool[b][0])


def watch(slot: int) -> None:
    number = len(watched)
    try:
        watched.append(weakref.ref(pool[slot][0], lambda dead: log.append(("gone", number))))
    except (KeyError, TypeError):
        log.append("cannot be watched")


def churn(number: int, slot: int) -> None:
    """Cycles of garbage, which may refer to what a slot holds, and may be referred to by the next ones."""
    target = pool.get(slot, (None,))[0]
    before = None
    for each in range(number):
        left, right = Node([]), Node([each, target])
        left.refs += [right, before]
        right.refs.append(left)
        before = left if each % 7 else None


def grow(number: int, slot: int) -> None:
    """Live objects."""
    if slot in pool:
        pool[slot][1].extend([each] for each in range(number))


def collect(generation: int) -> None:
    gc.collect(generation)
    print(log, [each() is not None for each in watched], flush=True)
    log.clear()


ACTIONS = {
    "make": make, "link": link, "watch": watch, "churn": churn, "grow": grow, "collect": collect,
    "drop": lambda slot: pool.pop(slot, None),
}  # fmt: skip

if sys.argv[2:] == ["explicit"]:
    gc.disable()
gc.collect()
for step, (name, *arguments) in enumerate(json.loads(sys.argv[1])):
    log.append(step)
    ACTIONS[name](*arguments)
collect(2)
pool.clear()
collect(2)
