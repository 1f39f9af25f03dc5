"""Secrets are kept out of a stream however it is cut into pieces, and nothing else changes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from retroscope.trace.redaction import RedactedStream, Redaction, stand_in

SECRETS = {"ONE": b"abababac", "TWO": b"abababacab", "THREE": b"\xc3\xa9-geheim", "SHORT": b"abc"}


@given(
    parts=st.lists(st.sampled_from([*SECRETS.values(), b"ab", b"a", b"x", b"\xc3", b"abababa"]), max_size=12),
    cuts=st.lists(st.integers(0, 120), max_size=8),
)
def test_pieces_do_not_matter(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    stream = RedactedStream(Redaction(SECRETS))
    pieces = [stream.feed(data[begin:end]) for begin, end in pairwise(places)]
    kept = b"".join(pieces) + stream.rest()
    assert len(kept) == len(data)
    for name in ("ONE", "TWO", "THREE"):
        assert SECRETS[name] not in kept


def test_what_is_stored_instead() -> None:
    redaction = Redaction(SECRETS)
    assert (redaction.names, redaction.too_short) == (["ONE", "THREE", "TWO"], ["SHORT"])
    assert stand_in(b"x" * 13) == b"<redacted><re"
    facts = {"argv": ["app.py", "--key=abababac"], "pid": 7, "cwd": "/abc"}
    assert redaction.value(facts) == {"argv": ["app.py", "--key=<redacte"], "pid": 7, "cwd": "/abc"}
    assert redaction.found == 1


def test_what_cannot_begin_a_secret_is_not_held_back() -> None:
    stream = RedactedStream(Redaction(SECRETS))
    assert stream.feed(b"nothing of that kind") == b"nothing of that kind"
    assert stream.feed(b"..abab") == b".."
    assert stream.feed(b"zz") == b"ababzz"
