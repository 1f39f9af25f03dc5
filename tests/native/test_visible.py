"""Which code is the user's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from retroscope.recorder import _core


@pytest.fixture(autouse=True)
def prefixes() -> Iterator[None]:
    _core.set_library_prefixes(("/usr/lib/python3.11/", "/opt/naïve", "/"))
    yield
    _core.set_library_prefixes(())


@pytest.mark.parametrize(
    ("name", "visible"),
    [
        ("/home/me/app.py", True),
        ("app.py", True),
        ("<string>", False),
        ("<attrs generated init __main__.A>", False),
        ("<frozen importlib._bootstrap>", False),
        ("/usr/lib/python3.11/json/__init__.py", False),
        ("/usr/lib/python3.11", True),
        ("/usr/lib/python3.11x/app.py", True),
        ("/opt/naïve/module.py", False),
        ("/opt/naïver/module.py", True),
        ("/home/me/.venv/lib/python3.11/site-packages/attr/_make.py", False),
        ("/usr/lib/python3/dist-packages/apt.py", False),
        ("/home/me/site-packages.py", True),
        ("/home/\udcff/app.py", True),
        ("/long/" + "x" * 10_000, True),
    ],
)
def test_visible_by_file_name(name: str, visible: bool) -> None:
    code = compile("1", name, "exec")
    assert [_core.is_visible(code) for _ in range(3)] == [visible] * 3


def test_a_name_that_takes_over_an_address_is_decided_anew() -> None:
    """Names of one length, made and dropped in turn, come to lie at the same address."""
    for number in range(5000):
        folder = "/usr/lib/python3.11" if number % 3 else "/usr/lib/python3_11"
        name = f"{folder}/{number:06}.py"
        assert _core.is_visible(compile("1", name, "exec")) == (number % 3 == 0)


def test_the_table_of_names_may_overflow() -> None:
    codes = [compile("1", f"/{'d' * 400}/{number}/site-packages/x.py", "exec") for number in range(3000)]
    for _ in range(2):
        assert not any(map(_core.is_visible, codes))


def test_the_text_of_the_command_line_is_shown_and_its_namesakes_are_not() -> None:
    program = compile("def f():\n return [lambda: x for x in ()]\n" * 3, "<string>", "exec")
    _core.show_code(program)
    inner = [each for each in program.co_consts if hasattr(each, "co_code")]
    lambdas = [each for code in inner for each in code.co_consts if hasattr(each, "co_code")]
    assert len(inner) == 3
    assert all(map(_core.is_visible, [program, *inner, *lambdas]))
    assert not _core.is_visible(compile("1", "<string>", "exec"))
    _core.show_code(compile("1", "<string>", "exec"))
    assert not _core.is_visible(program)


@pytest.mark.parametrize("folders", [("x" * 20_000,), ("/a",) * 65, ["/a"], (1,)])
def test_impossible_prefixes_are_refused(folders: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        _core.set_library_prefixes(folders)  # type: ignore[arg-type]
