"""`last-write` where others run in between: threads, generators, coroutines, and frames at the same place."""

from __future__ import annotations

import pytest
from retroscope.replay.timeline import Breakpoint, Tick, Timeline

from tests.replay.conftest import PROGRAMS, Recorded, Recorder, index_whole

HANDED_OVER = """\
import os, threading, time
r, w = os.pipe()
box = {"x": 0, "y": 0}
class Thing: pass
thing = Thing(); thing.v = 0
def reader():
    box["x"] = os.read(r, 5)
    thing.v = len(os.read(r, 2)) + 5
t = threading.Thread(target=reader); t.start()
time.sleep(0.02)
os.write(w, b"hello")
for n in range(3):
    time.sleep(0.005)
    box["y"] = n
os.write(w, b"ab")
time.sleep(0.02)
t.join()
end = 1
"""


@pytest.mark.parametrize(("expression", "line"), [('box["x"]', 7), ("thing.v", 8), ('box["y"]', 14)])
def test_the_line_of_another_thread_that_waited_is_found(record_text: Recorded, expression: str, line: int) -> None:
    """It began before lines of the main thread ran, and stored what it had waited for after them."""
    program, trace = record_text(HANDED_OVER)
    with Timeline.open(trace) as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=18)])
        timeline.run()
        moment = timeline.last_write(expression)
        frame = timeline.stack()[0]
        assert (frame.path, frame.line) == (str(program), line)
        assert "; or by" not in moment.text


ALIASES = """\
class Thing: pass
thing = Thing()
def inner(a):
    return a
def outer(x, y):
    z = 1
    return x, y
def twice(a, b):
    c = 2
    return a
outer(inner(thing), inner(thing))
twice(thing, 1); twice(thing, 2)
def key(q):
    w = 3
    return w
print(list(map(key, [thing, thing])))
"""


@pytest.mark.parametrize(
    ("at", "hit", "expression", "line"),
    [(7, 1, "x", 11), (7, 1, "y", 11), (10, 1, "a", 12), (10, 2, "a", 12), (15, 1, "q", 16), (15, 2, "q", 16)],
)
def test_a_frame_does_not_take_its_values_from_the_one_before_it(
    record_text: Recorded, at: int, hit: int, expression: str, line: int
) -> None:
    """Where its variables are now, an earlier frame of the same depth had the same object."""
    program, trace = record_text(ALIASES)
    with Timeline.open(trace) as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=at)])
        for _ in range(hit):
            timeline.run()
        moment = timeline.last_write(expression)
        assert timeline.stack()[0].line == line
        assert moment.text.endswith("here, it had no value before, passed by this call")


PAUSES = """\
def numbers(first):
    sent = 0
    while True:
        sent = yield first
        first = first + sent
        done = sent
generator = numbers(1)
next(generator)
def other():
    x = 1
    return x
other(); generator.send(5); end = 1
end = 2
"""


@pytest.mark.parametrize(
    ("expression", "line", "said"),
    [("sent", 4, "sent becomes 5 here, it was 0"), ("first", 7, "passed by this call")],
)
def test_what_a_generator_was_sent_is_no_argument(
    record_text: Recorded, expression: str, line: int, said: str
) -> None:
    program, trace = record_text(PAUSES)
    with Timeline.open(trace) as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=5)])
        timeline.run()
        moment = timeline.last_write(expression)
        assert moment.text.endswith(said)
        assert timeline.stack()[0].line == line


TURNS = """\
def worker(n):
    done = 0
    while True:
        done = done + 1
        yield done
left, right = worker(1), worker(2)
for turn in range(4):
    x = next(left) + next(right)
"""


@pytest.mark.parametrize("hit", [2, 3, 6, 7])
def test_generators_of_one_function_keep_their_values_apart(record_text: Recorded, hit: int) -> None:
    """They run in turns at the same depth, and come to the same values."""
    program, trace = record_text(TURNS)
    with Timeline.open(trace) as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=5)])
        for _ in range(hit):
            here = timeline.run()
        moment = timeline.last_write("done")
        assert (moment.tick, timeline.stack()[0].line) == (here.tick - 1, 4)
        assert moment.text == f"done becomes {(hit + 1) // 2} here, it was {(hit - 1) // 2}"


AWAITS = """\
import asyncio
async def wait(turns, value):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value
async def worker(turns):
    done = 0
    for value in (turns, turns + 10):
        done = await wait(turns, value)
        shown = done
    both = (kept := await wait(1, turns)) + await wait(2, turns)
    return shown, kept, both
async def main():
    return await asyncio.gather(*map(worker, (1, 2, 3)))
print(asyncio.run(main()))
"""


@pytest.mark.parametrize("hit", [1, 2, 3, 4, 5, 6])
def test_a_line_that_waited_is_the_one_that_wrote(record_text: Recorded, hit: int) -> None:
    """Other tasks run, deeper and less deep, while the line waits for what it stores."""
    program, trace = record_text(AWAITS)
    with Timeline.open(trace) as timeline:
        began: dict[int, list[Tick]] = {1: [], 2: [], 3: []}
        for moment in list(timeline.hits(Breakpoint(1, path=str(program), line=9)))[:6]:
            timeline.goto(moment.tick)
            began[int(timeline.evaluate("turns").text)].append(moment.tick)
        timeline.goto(timeline.entry)
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=10)])
        for _ in range(hit):
            here = timeline.run().tick
        turns, done = (int(timeline.evaluate(name).text) for name in ("turns", "done"))
        found = timeline.last_write("done")
        assert found.tick == max(each for each in began[turns] if each < here)
        assert found.text == f"done becomes {done} here, it was {0 if done == turns else turns}"
        timeline.goto(here)
        passed = timeline.last_write("turns")
        assert passed.text == f"turns becomes {turns} here, it had no value before, passed by this call"
        assert timeline.stack()[0].line == 14


STORED_AFTER_A_PAUSE = """\
import asyncio
kept = {}
async def slow(turns):
    for _ in range(turns):
        await asyncio.sleep(0)
    return turns
def use(value):
    used = value
    return used
async def worker(turns):
    before = turns
    kept[turns] = await slow(turns)
    return use(await slow(turns)) + before
async def main():
    return await asyncio.gather(*map(worker, (1, 2, 3)))
print(asyncio.run(main()))
end = 1
"""


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_line_that_went_on_after_a_pause_is_found(record_text: Recorded, turns: int) -> None:
    """Other tasks ran at the same depth before it stored an item, or called, in the end."""
    program, trace = record_text(STORED_AFTER_A_PAUSE)
    with Timeline.open(trace) as timeline:
        began: dict[int, Tick] = {}
        for line in (12, 13):
            for moment in list(timeline.hits(Breakpoint(1, path=str(program), line=line)))[:-1]:
                timeline.goto(moment.tick)
                if timeline.evaluate("turns").text == str(turns):
                    began[line] = moment.tick
        timeline.goto_hit(Breakpoint(1, path=str(program), line=17), 1)
        assert timeline.last_write(f"kept[{turns}]").tick == began[12]
        timeline.goto_hit(Breakpoint(1, path=str(program), line=9, condition=f"used == {turns}"), 1)
        passed = timeline.last_write("value")
        assert passed.text.endswith("passed by this call")
        assert passed.tick == began[13]


WAITING = """\
import asyncio
async def slow(step):
    step = step + 1
    await asyncio.sleep(0.05)
    return step
async def worker(turns):
    total = 0
    for turn in range(turns):
        total += turn
        await asyncio.sleep(0)
    return await slow(total)
async def main():
    tasks = []
    for turns in (2, 3, 4):
        tasks.append(asyncio.create_task(worker(turns), name=str(turns)))
    await asyncio.sleep(0.01)
    mark = 1
    await asyncio.gather(*tasks)
asyncio.run(main())
"""


@pytest.mark.parametrize("is_indexed", [False, True], ids=["searched", "indexed"])
def test_variables_of_tasks_that_wait(record_text: Recorded, is_indexed: bool) -> None:
    """They are on no stack at the moment of the question; the oracle are the hits of the lines that write them."""
    program, trace = record_text(WAITING)
    if is_indexed:
        index_whole(trace)
    with Timeline.open(trace) as timeline:
        here = timeline.goto_hit(Breakpoint(1, path=str(program), line=17), 1).tick
        hits: dict[tuple[int, str], Tick] = {}
        for line, name in ((3, "step"), (9, "turns"), (15, "turns")):
            for moment in timeline.hits(Breakpoint(1, path=str(program), line=line)):
                if moment.tick < here:
                    timeline.goto(moment.tick)
                    hits[line, timeline.evaluate(name).text] = moment.tick
        timeline.goto(here)
        asked = 0
        for task in timeline.tasks():
            frames = {frame.function: frame.id for frame in task.frames}
            total = str(sum(range(int(task.name)))) if "slow" in frames else ""
            wanted = [
                ("worker", "total", (9, task.name)),
                ("worker", "turns", (15, task.name)),
                ("slow", "step", (3, total)),
            ]
            for function, variable, hit in wanted if total else ():
                found = timeline.last_write(variable, frames[function])
                assert found.tick == hits[hit], (task.name, variable, found.text)
                timeline.goto(here)
                asked += 1
        assert asked == 9


SAME_ITEM = """\
from enum import IntEnum
class Key(IntEnum):
    two = 2
numbers = [0, 0, 0]
numbers[2] = 5
numbers[-1] = 7
numbers[-1] = 5
sliced = [0, 0, 0]
sliced[1] = 5
sliced[0:2] = [0, 7]
sliced[0:2] = [0, 5]
moved = [0, 5, 0]
moved[1] = 6
del moved[0]
moved[0:0] = [0]
keyed = {1: 0, 2: 0, "two": 0, (2, 3): 0}
keyed[1] = 5
keyed[True] = 6
keyed[True] = 5
keyed[2] = 5
keyed[Key.two] = 6
keyed[Key.two] = 5
keyed["two"] = 5
keyed[3] = 6
keyed[2, 3] = 6
end = 1
"""


@pytest.mark.parametrize("indexed", [False, True])
def test_an_item_has_several_keys(record_text: Recorded, indexed: bool) -> None:
    program, trace = record_text(SAME_ITEM)
    if indexed:
        index_whole(trace)
    with Timeline.open(trace) as timeline:
        for expression, line in (
            ("numbers[2]", 7), ("sliced[1]", 11), ("moved[1]", 15),
            ("keyed[1]", 19), ("keyed[2]", 22), ("keyed['two']", 23),
        ):  # fmt: skip
            timeline.goto_hit(Breakpoint(1, path=str(program), line=26), 1)
            timeline.last_write(expression)
            assert (expression, timeline.stack()[0].line) == (expression, line)


CALLED_BY_THE_LIBRARY = """\
import contextlib
def double(value):
    return value * 2
with contextlib.ExitStack() as stack:
    stack.callback(double, 21)
    done = True
"""


@pytest.mark.parametrize("indexed", [False, True])
def test_an_argument_that_the_library_passes_comes_from_the_line_that_ran_the_library(
    record_text: Recorded, indexed: bool
) -> None:
    program, trace = record_text(CALLED_BY_THE_LIBRARY)
    if indexed:
        index_whole(trace)
    with Timeline.open(trace) as timeline:
        assert (timeline.index is not None) == indexed
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=3)])
        timeline.run()
        moment = timeline.last_write("value")
        assert moment.text == "value becomes 21 here, it had no value before, passed by this call"
        assert timeline.stack()[0].line == 4


@pytest.mark.parametrize(
    ("at", "hit", "expression", "line", "said"),
    [
        (17, 1, "log", 8, "log becomes [0, 1, 2] here, it was [0, 1]"),
        (16, 3, "log", 8, "log becomes [0, 1] here, it was [0]"),
        (16, 1, "log", 13, "log becomes [] here, it had no value before"),
        (18, 1, "kept", 17, "kept becomes [0, 1, 2] here, it had no value before"),
        (19, 1, "log", 18, "log becomes [0, 1, 2] here, it was another one that looks the same"),
    ],
)
def test_what_others_put_into_a_waiting_coroutines_container_is_found(
    recorded: Recorder, at: int, hit: int, expression: str, line: int, said: str
) -> None:
    with Timeline.open(recorded("awaited")) as timeline:
        timeline.goto_hit(Breakpoint(1, path=str(PROGRAMS / "awaited.py"), line=at), hit)
        moment = timeline.last_write(expression)
        assert (timeline.stack()[0].line, moment.text) == (line, said)


CHANGED_BY_OTHERS = """\
import threading
def grow(items):
    before = len(items)
    items.append(before)
    return before
def main():
    results, mine = [], []
    worker = threading.Thread(target=lambda: results.append(
        7))
    worker.start()
    worker.join()
    grow(mine)
    both = []
    both.append(grow(mine))
    return results, mine, both
print(main())
"""


@pytest.mark.parametrize(
    ("expression", "line", "said"),
    [
        ("results", 8, "results becomes [7] here, it was []"),
        ("mine", 4, "mine becomes [0, 1] here, it was [0]"),
        ("both", 14, "both becomes [1] here, it was []"),
    ],
)
def test_what_others_put_into_a_container_of_a_variable_is_found(
    record_text: Recorded, expression: str, line: int, said: str
) -> None:
    """Another thread, or a function that was called."""
    program, trace = record_text(CHANGED_BY_OTHERS)
    with Timeline.open(trace) as timeline:
        timeline.goto_hit(Breakpoint(1, path=str(program), line=15), 1)
        moment = timeline.last_write(expression)
        assert (timeline.stack()[0].line, moment.text) == (line, said)


APPENDED_RESULTS = """\
def first(numbers):
    return sorted(numbers)[0]
def main():
    found = []
    found.append(first([2, 1]))
    return found
print(main())
"""


def test_where_a_line_that_returned_may_have_done_it_too_the_variables_own_line_comes_first(
    record_text: Recorded,
) -> None:
    program, trace = record_text(APPENDED_RESULTS)
    with Timeline.open(trace) as timeline:
        timeline.goto_hit(Breakpoint(1, path=str(program), line=6), 1)
        moment = timeline.last_write("found")
        assert timeline.stack()[0].line == 5
        assert moment.text == f"found becomes [1] here, it was []; or by {program}:2"
