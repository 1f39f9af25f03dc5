"""Garbage collection: what is freed between recorded places is freed so that nobody can tell.

The oracle is plain Python without automatic collections, asked to collect at the places where the program asks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retroscope.trace import open_trace

PROGRAMS = Path(__file__).parent / "programs"
COLLECTING, PURE_LOOP = PROGRAMS / "collecting.py", PROGRAMS / "pure_loop.py"
SCOPE = str(Path(sys.executable).parent / "scope")
KINDS = 18  # MAKERS of collecting.py
SILENT, SILENT_OLD = 2, 4  # flags of a record

slots = st.integers(0, 7)
kinds = st.integers(0, KINDS - 1)
make = st.tuples(st.just("make"), slots, kinds, st.booleans())
link = st.tuples(st.just("link"), slots, slots)


def steps(growth: list[int], generations: list[int]) -> st.SearchStrategy[list[tuple[object, ...]]]:
    return st.one_of(
        make, make, link, link, link,
        st.tuples(st.just("watch"), slots),
        st.tuples(st.just("drop"), slots),
        st.tuples(st.just("churn"), st.sampled_from([100, 9000]), st.integers(-1, 7)),
        st.tuples(st.just("grow"), st.sampled_from(growth), slots),
        st.tuples(st.just("collect"), st.sampled_from(generations)),
    ).map(lambda each: [each])  # fmt: skip


@st.composite
def last_reference(draw: st.DrawFn) -> list[tuple[object, ...]]:
    """Garbage is the last to refer to an object that was alive when the garbage was made."""
    slot = draw(slots)
    return [
        ("make", slot, draw(kinds), draw(st.booleans())), ("churn", 9000, slot), ("make", 7, 0, False),
        ("grow", 40000, 7), ("churn", 9000, -1), ("drop", slot),
    ]  # fmt: skip


def script(pieces: st.SearchStrategy[list[tuple[object, ...]]]) -> st.SearchStrategy[list[tuple[object, ...]]]:
    return st.lists(pieces, min_size=10, max_size=50).map(lambda lists: [each for one in lists for each in one])


# Where much survives, a silent collection looks at the older generations too, and a young collection that the program
# asks for then becomes a full one: so only full ones are asked for there.
scripts = st.one_of(
    script(steps([10, 2000], [0, 1, 2, 2])),
    script(st.one_of(steps([10, 9000], [2]), steps([10], [2]), last_reference())),
)


def python(*words: object) -> str:
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def record(trace: Path, *words: object) -> str:
    command = [SCOPE, "record", "-q", "-o", str(trace), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def verify(trace: Path) -> int:
    """Replays, and returns the most memory that a replay process held, in KiB."""
    code = (
        "import resource, subprocess, sys\n"
        "status = subprocess.run(sys.argv[1:]).returncode\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, SCOPE, "verify", "-q", str(trace)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def flags(trace: Path) -> int:
    """All flags of all records."""
    every = 0
    with open_trace(trace) as opened:
        for each in opened.records(1):
            every |= each.flags
    return every


@settings(max_examples=16, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts)
def test_deaths_come_as_without_any_collection_in_between(script: list[object], tmp_path: Path) -> None:
    plain = python(COLLECTING, json.dumps(script), "explicit")
    assert record(tmp_path / "trace.db", COLLECTING, json.dumps(script)) == plain
    verify(tmp_path / "trace.db")


def test_older_generations_are_freed_too_when_much_survives(tmp_path: Path) -> None:
    old = [["make", slot, kind, True] for slot, kind in enumerate([2, 0, 4, 7, 12])]
    links = [["link", a, b] for a, b in [(0, 1), (1, 2), (3, 4), (4, 3)]]
    drops = [["drop", slot] for slot in (0, 1, 3, 4)]
    growth = [["make", 6, 0, False], ["grow", 60000, 6], ["churn", 9000, 2], ["grow", 60000, 6], ["churn", 9000, 6]]
    script = json.dumps([*old, *links, ["watch", 1], ["collect", 2], *drops, *growth, ["drop", 2], ["collect", 2]])
    plain = python(COLLECTING, script, "explicit")
    assert record(tmp_path / "trace.db", COLLECTING, script) == plain
    assert flags(tmp_path / "trace.db") & (SILENT | SILENT_OLD) == SILENT | SILENT_OLD
    verify(tmp_path / "trace.db")


def test_memory_is_bounded_where_no_boundary_is_crossed(tmp_path: Path) -> None:
    words = (PURE_LOOP, 300_000, 200_000)
    plain, recorded = (float(text.split()[0]) for text in (python(*words), record(tmp_path / "trace.db", *words)))
    assert recorded <= 1.2 * plain
    assert flags(tmp_path / "trace.db") & SILENT
    assert verify(tmp_path / "trace.db") <= 1.2 * plain


FINALIZERS = """
import gc, time, weakref
log, seen = [], []

class Noisy:
    def __init__(self, name):
        self.name, self.me = name, self

    def __del__(self):
        log.append(self.name)

class Quiet:
    pass

def stretch(number, base):
    for each in range(number):
        left, right = Quiet(), Quiet()
        left.right, right.left, left.data = right, left, [each]
        if each % 90 == 0:
            left.noisy = Noisy(base + each)
        if each % 250 == 0:
            watched = Quiet()
            watched.me = watched
            seen.append(weakref.ref(watched, lambda dead, name=(base, each): log.append(name)))

for turn in range(8):
    stretch(9000, turn * 100_000)
    time.time()
print(log, [each() is not None for each in seen])
"""


def test_finalizers_run_in_the_recorded_order_at_automatic_collections(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(FINALIZERS)
    printed = record(tmp_path / "trace.db", tmp_path / "program.py")
    assert "(0, 250)" in printed
    assert flags(tmp_path / "trace.db") & SILENT
    verify(tmp_path / "trace.db")  # the program prints the log: a replay that prints another one diverges


SURFACE = """
import gc, sys
print(gc.isenabled(), gc.get_threshold(), gc.callbacks, gc.get_debug(), gc.garbage, gc.get_freeze_count())
gc.set_threshold(123, 4); print(gc.get_threshold()); gc.set_threshold(7); print(gc.get_threshold())
gc.disable(); print(gc.isenabled()); gc.enable(); print(gc.isenabled())
for call in (lambda: gc.set_threshold(), lambda: gc.set_threshold("x"), lambda: gc.freeze(1), lambda: gc.collect(3),
             lambda: gc.collect(generation=1, more=2), lambda: gc.get_objects(generation=9)):
    try:
        print(call())
    except Exception as error:
        print(type(error), error)
print([gc.collect.__name__, gc.collect.__module__, gc.collect.__self__ is gc, gc.disable.__text_signature__, gc.freeze])
events = []
def told(phase, info):
    events.append((phase, dict(info)))
gc.collect(); gc.callbacks.append(told)
gc.collect()
cycle = []; cycle.append(cycle); del cycle
gc.collect(); gc.collect(0); gc.collect(generation=1)
gc.callbacks.remove(told)
print(events)
gc.disable()
fresh = []
print(any(each is fresh for each in gc.get_objects()), any(each is fresh for each in gc.get_objects(0)))
gc.collect(0)
print(any(each is fresh for each in gc.get_objects(1)), len(gc.get_referrers(fresh)), gc.get_referents([fresh]))
gc.freeze(); print(gc.get_freeze_count() > 1000, any(each is fresh for each in gc.get_objects())); gc.unfreeze()
gc.set_debug(gc.DEBUG_SAVEALL); cycle = [fresh]; cycle.append(cycle); del cycle
gc.collect(); print(gc.garbage); gc.set_debug(0); gc.garbage.clear()
print([each for each in gc.get_objects() if type(each).__module__.startswith("retroscope")])
"""


def test_the_gc_module_is_as_in_plain_python(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SURFACE)
    assert record(tmp_path / "trace.db", tmp_path / "program.py") == python(tmp_path / "program.py")
    verify(tmp_path / "trace.db")


def test_the_recorder_adds_no_objects_to_those_that_gc_shows(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import gc\ngc.collect()\nkinds = [type(each).__name__ for each in gc.get_objects()]\n"
        "print(*[kinds.count(name) for name in ('module', 'type', 'function')])\n"
    )
    plain, recorded = (list(map(int, text.split())) for text in (python(program), record(tmp_path / "t.db", program)))
    assert recorded[:2] == plain[:2]
    assert max(abs(a - b) for a, b in zip(recorded, plain, strict=True)) < 10
    verify(tmp_path / "t.db")


def test_without_automatic_collections_nothing_is_freed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import gc, time\ngc.disable()\nfor each in range(20000):\n    cycle = []\n    cycle.append(cycle)\n"
        "time.time()\nprint(gc.collect() >= 19999)\n"
    )
    assert record(tmp_path / "trace.db", program) == "True\n"
    assert not flags(tmp_path / "trace.db") & SILENT


def test_an_unrecorded_child_has_the_interpreters_own_collector(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import ctypes, gc, os\nthresholds = gc.get_threshold()\n"
        "def churn():\n    for each in range(20000):\n        cycle = []\n        cycle.append(cycle)\n"
        "churn()\nif ctypes.PyDLL(None).fork() == 0:\n    told = []\n"
        "    gc.callbacks.append(lambda phase, info: told.append(phase))\n"
        "    churn()\n    os._exit(0 if len(told) > 10 and gc.get_threshold() == thresholds else 1)\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    assert record(tmp_path / "trace.db", program) == "0\n"
