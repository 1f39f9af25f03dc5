"""Changing the program in a what-if branch: a statement runs in one of its frames, and what it sets stays set.

Loaded hidden, as `inspector.py` is; only ever used in a branch, which is thrown away.
"""

import builtins
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
else:  # nothing may be imported here that the program would find imported
    Any = list

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]

_HAS_VARIABLES = 1  # of co_flags: a function's frame, whose variables are no dict
_Code = type(compile("", "", "exec"))


def change_in(core: Any, frame: Any, text: str) -> list[str]:
    """Runs the statements `text` in the scope of `frame`; remarks about what they did not do. Raises what they raise.

    A name that is assigned is a variable of the frame's function, else of its module.
    """
    code = compile(text, "<what-if>", "exec")
    space, here = frame.f_globals, frame.f_locals
    if here is space or not frame.f_code.co_flags & _HAS_VARIABLES:
        exec(code, space, here)
        return []
    before = dict(here)
    after = dict(before)
    around = {**space, **after} if _has_functions(code) else space  # those find no variables but global ones
    seen = dict(around)
    exec(code, around, after)
    if around is not space:
        space.update({name: around[name] for name in around if name not in seen or seen[name] is not around[name]})
    if any(name not in after for name in before):
        raise NameError("a variable of a function cannot be deleted here; set it to something else")
    return _write_back(core, frame, here, {name: after[name] for name in after if _differs(name, before, after)})


def _has_functions(code: Any) -> bool:
    return any(type(constant) is _Code for constant in code.co_consts)


def _differs(name: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
    return name not in before or before[name] is not after[name]


def _write_back(core: Any, frame: Any, here: Any, changed: dict[str, Any]) -> list[str]:
    code, space = frame.f_code, frame.f_globals
    own = [*code.co_varnames, *code.co_cellvars, *code.co_freevars]
    strangers = []
    for name, value in changed.items():
        if name in own:
            here[name] = value
        elif name in space:
            space[name] = value
        else:
            strangers.append(name)
    if core is not None:
        core.write_locals(frame)
    return ["neither this function nor its module has a variable " + name for name in strangers]


def flush_outputs() -> None:
    """Lets the program's standard streams write what they still hold."""
    streams: list[Any] = []
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        stream = sys.__dict__.get(name)
        if stream is not None and not any(stream is each for each in streams):
            streams.append(stream)
            stream.flush()
