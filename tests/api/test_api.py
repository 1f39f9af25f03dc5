"""The Python API against what plain Python did, and against what is known of the programs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import retroscope

from tests.api.conftest import FIXTURES, Recorder

WALKED = FIXTURES / "walks" / "walked.py"
ORACLE = """
import json, runpy, sys
seen = []
def local(frame, event, argument):
    if event == "line":
        plain = {name: value for name, value in frame.f_locals.items() if isinstance(value, (int, str, list))}
        seen.append([frame.f_lineno, json.loads(json.dumps(plain))])
    return local
def entered(frame, event, argument):
    return local if frame.f_code.co_filename == sys.argv[1] and frame.f_code.co_name == "try_payments" else None
sys.settrace(entered)
try:
    runpy.run_path(sys.argv[1], run_name="__main__")
except KeyError:
    pass
sys.settrace(None)
json.dump(seen, sys.stderr)
"""


@pytest.fixture(scope="module")
def walked(recorded: Recorder) -> Iterator[retroscope.Trace]:
    with retroscope.open(recorded("walks/walked.py")) as trace:
        yield trace


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(WALKED.read_text().splitlines(), 1) if text in line)


def test_locals_are_those_that_settrace_sees(walked: retroscope.Trace) -> None:
    done = subprocess.run([sys.executable, "-c", ORACLE, WALKED], capture_output=True, text=True, check=True)
    expected: list[tuple[int, dict[str, Any]]] = [(line, names) for line, names in json.loads(done.stderr)]
    moment = next(walked.hits("try_payments"))
    seen = []
    for _ in expected:
        names = moment.frame.locals
        plain = {name: value.python() for name, value in names.items() if value.type in ("int", "str", "list")}
        seen.append((moment.frame.line, plain))
        moment = moment.next()
    assert seen == expected
    assert moment.frame.function == "main"


def test_hits_can_be_looked_at_while_more_are_found(walked: retroscope.Trace) -> None:
    moments = []
    for hit in walked.hits(f"walked.py:{line_of('account.pay(amount)')}"):
        assert hit.next() > hit > hit.reverse_next()
        moments.append(hit)
    assert [hit.frame.locals["amount"].python() for hit in reversed(moments)] == [30, 50, 20]
    assert moments == list(walked.hits(f"walked.py:{line_of('account.pay(amount)')}"))


def test_conditions(walked: retroscope.Trace) -> None:
    every = [call.arguments["n"].python() for call in walked.calls("fibonacci")]
    assert len(every) == 19 + 4
    some = [call.arguments["n"].python() for call in walked.calls("fibonacci", "n % 2 and n > 1")]
    assert some == [n for n in every if n % 2 and n > 1]
    (failing, *_) = walked.hits("fibonacci", "nothing > 1")
    assert failing.text == "the condition failed: NameError: name 'nothing' is not defined"


def test_what_is_raised(walked: retroscope.Trace) -> None:
    raised = [(moment.exception, moment.frame.function) for moment in walked.raises()]
    assert raised == [("ValueError: ada has only 40", "Account.pay"), ("KeyError: 'b'", "main")]
    assert [moment.exception for moment in walked.raises("KeyError")] == ["KeyError: 'b'"]
    assert list(walked.raises("OSError")) == []
    last = list(walked.raises())[-1]
    assert last == walked.failure()
    assert last.next().next().is_end


def test_a_value_outlives_motion(walked: retroscope.Trace) -> None:
    failure = walked.failure()
    account, words = failure.frame.locals["account"], failure.evaluate("[account, words]")
    assert [walked.entry().tick, walked.end().is_end] == [walked.entry().tick, True]
    assert account["balance"].python() == 10
    walked.entry()
    assert [child.name for child in account] == ["owner", "balance"]
    assert walked.end().is_end
    assert words[1].python() == {"fig": 3, "pear": 4, "banana": 6}
    for number in range(10):  # more than are kept at once
        failure.evaluate(f"[{number}]")
    assert words[0]["owner"].python() == "ada"
    with pytest.raises(KeyError):
        account["nothing"]


def test_what_is_no_plain_value_says_so(walked: retroscope.Trace) -> None:
    with pytest.raises(retroscope.ReplayError, match="account is no plain value"):
        walked.failure().frame.locals["account"].python()
    assert walked.failure().evaluate("list(range(2000))").python() == list(range(2000))


def test_writes(walked: retroscope.Trace) -> None:
    failure = walked.failure()
    write = failure.last_write("account.balance")
    assert (write.text, write.frame.line) == ("account.balance becomes 10 here, it was 40", line_of("self.balance -="))
    again = write.reverse_finish().next_write("account.balance")
    assert again.tick > write.tick
    assert "account.balance" in again.text
    assert failure.previous_hit("Account.pay").frame.locals["amount"].python() == 30


def test_inputs_and_output_know_their_moments(recorded: Recorder) -> None:
    with retroscope.open(recorded("api/orders.py")) as trace:
        written = [output for output in trace.output() if b"pear" in output.data and output.stream == "stdout"]
        assert written[0].moment().frame.source == "print(fruit, left)"
        (_, second, _) = trace.inputs("time.time")
        assert second.moment().frame.source.startswith("self.sold.append")
        assert second.moment().frame.locals["fruit"].python() == "pear"
        assert trace.at_output(2).frame.globals["left"].python() == -1


def test_a_time_is_a_moment(recorded: Recorder) -> None:
    with retroscope.open(recorded("api/orders.py")) as trace:
        first, last = trace.at_time("+0s"), trace.at_time("+1h")
        assert first < trace.at_output(1) < last
        assert "seconds after the start; the next time known is" in first.text
        assert last.text.endswith("no later time is known")
        with pytest.raises(retroscope.ReplayError, match=r"'soon' is no time; say 12:34:56.789, or \+3.5s"):
            trace.at_time("soon")


def test_a_forked_process_is_seen_from_its_fork_on(recorded: Recorder) -> None:
    with retroscope.open(recorded("programs/processes_fork.py")) as trace:
        forked = next(each for each in trace.processes() if each.forked is not None)
        child = trace.of(forked.id)
        assert child.entry().input >= next(iter(child.inputs())).number > 0
        with retroscope.open(trace.path, process=forked.id) as same:
            assert same.entry().tick == child.entry().tick
    with pytest.raises(retroscope.ReplayError, match="was closed"):
        child.entry()


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda trace: trace.at(10**12), "there is no tick"),
        (lambda trace: trace.at_input(10**9), "there is no input"),
        (lambda trace: next(trace.hits("nowhere.py:1")), "did not run in this recording"),
        (lambda trace: next(trace.calls("walked.py:3")), "calls are of a function"),
        (lambda trace: trace.entry().evaluate("1 / 0"), "ZeroDivisionError: division by zero"),
        (lambda trace: trace.entry().last_write("nothing"), "nothing"),
        (lambda trace: trace.end().frame, "no code is running"),
        (lambda trace: trace.of(99), "has no process 99"),
    ],
)
def test_errors_are_one_sentence(walked: retroscope.Trace, ask: Any, sentence: str) -> None:
    with pytest.raises(retroscope.RetroscopeError, match=sentence) as raised:
        ask(walked)
    assert raised.value.sentence == str(raised.value)
    assert "\n" not in raised.value.sentence


def test_a_file_that_is_no_trace(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no trace at all")
    with pytest.raises(retroscope.TraceError, match="is not a trace"):
        retroscope.open(tmp_path / "text.db")
    with pytest.raises(retroscope.TraceError, match="there is no such file"):
        retroscope.open(tmp_path / "nothing.db")


def test_what_if_the_failure_is_avoided(recorded: Recorder) -> None:
    with retroscope.open(recorded("api/orders.py")) as trace:
        order = next(trace.hits("Shop.order", "fruit == 'pear'"))
        changed = order.what_if("count = 1")
        assert changed.output[:2] == ("- pear -1", "+ pear 1")
        assert order.frame.locals["count"].python() == 3
        with pytest.raises(retroscope.ReplayError, match="the program is over"):
            trace.end().what_if("count = 1")
