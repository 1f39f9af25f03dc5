"""Conditions of breakpoints judged inside a running scout; loaded hidden, as `inspector.py` is.

A condition is judged without running anything of the program and without a trace in its memory: variables are read
from their slots, attributes from where objects keep them, and only operations of built-in types are done. What goes
beyond raises `Perhaps`, and the controller asks a looker. So "no" is certain, "yes" and "perhaps" are looked into.
"""

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Term = Callable[[Any], Any]
else:  # nothing may be imported here that the program would find imported
    Any = Callable = Term = list

if "Shelf" not in globals():  # a replay process runs all files in one namespace, inspector_values.py first
    from retroscope.replay.inspector_places import _mro_of, _space_of

if "_core" not in globals():  # where it is not given, nothing can be read
    _core: Any = None

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]

# no sets: what a type hashes to changes when the program first hashes it
_SCALARS = (int, float, bool, str, bytes, type(None))
_NUMBERS = (int, float, bool)
_CONTAINERS = (list, tuple, dict, set, frozenset, str, bytes, bytearray, range)
_TEXT_METHODS = {name: getattr(str, name) for name in ("startswith", "endswith", "lower", "upper", "strip")}
_LARGEST = 1 << 512
_MOST_COMPARED = 64


class Perhaps(Exception):
    """It cannot be said here."""


def prepare_conditions(rows: list[tuple[int, str]]) -> dict[int, Term]:
    """{breakpoint: how to judge it}; a condition that cannot be judged here has no entry."""
    prepared = {}
    for breakpoint_, text in rows:
        try:
            tree: Any = compile(text.strip(), "<condition>", "eval", 0x400)  # ast.PyCF_ONLY_AST
            prepared[breakpoint_] = term(tree.body)
        except (Perhaps, SyntaxError, ValueError, RecursionError):
            continue
    return prepared


def judge_condition(prepared: dict[int, Term], breakpoint_: int, frame: Any) -> bool:
    judgement = prepared.get(breakpoint_)
    if judgement is None:
        return True
    try:
        return truth_of(judgement(frame))
    except Exception:  # also what the condition itself would raise: a looker will say it
        return True


# -- terms: functions of a frame


def term(node: Any) -> Term:
    make = _MAKERS.get(type(node).__name__)
    if make is None:
        raise Perhaps
    return make(node)


def _constant(node: Any) -> Term:
    value = node.value
    return lambda frame: value


def _name(node: Any) -> Term:
    name = node.id
    return lambda frame: lookup(frame, name)


def _attribute(node: Any) -> Term:
    owner, name = term(node.value), node.attr
    return lambda frame: attribute_of(owner(frame), name)


def _subscript(node: Any) -> Term:
    container, key = term(node.value), term(node.slice)
    return lambda frame: item_of(container(frame), key(frame))


def _tuple(node: Any) -> Term:
    parts = [term(part) for part in node.elts]
    return lambda frame: tuple([part(frame) for part in parts])


def _boolean(node: Any) -> Term:
    parts = [term(part) for part in node.values]
    stops_at = type(node.op).__name__ == "Or"

    def judge(frame: Any) -> Any:
        value = None
        for part in parts:
            value = part(frame)
            if truth_of(value) is stops_at:
                return value
        return value

    return judge


def _unary(node: Any) -> Term:
    operand, name = term(node.operand), type(node.op).__name__
    if name == "Not":
        return lambda frame: not truth_of(operand(frame))
    if name == "USub":
        return lambda frame: -number(operand(frame))
    raise Perhaps


def _comparison(node: Any) -> Term:
    first = term(node.left)
    rest = [(_COMPARISONS[type(op).__name__], term(part)) for op, part in zip(node.ops, node.comparators)]

    def judge(frame: Any) -> bool:
        left = first(frame)
        for compare, part in rest:
            right = part(frame)
            if not compare(left, right):
                return False
            left = right
        return True

    return judge


def _arithmetic(node: Any) -> Term:
    left, right = term(node.left), term(node.right)
    operate = _OPERATIONS.get(type(node.op).__name__)
    if operate is None:
        raise Perhaps
    return lambda frame: operate(number(left(frame)), number(right(frame)))


def _call(node: Any) -> Term:
    if node.keywords:
        raise Perhaps
    arguments = [term(part) for part in node.args]
    if type(node.func).__name__ == "Attribute":
        owner, name = term(node.func.value), node.func.attr
        return lambda frame: call_method(owner(frame), name, [part(frame) for part in arguments])
    function = term(node.func)
    return lambda frame: call_builtin(function(frame), [part(frame) for part in arguments])


# -- operations that run nothing of the program's


def kind_of(value: Any) -> type:
    """Its type, when that is an ordinary one: a metaclass of the program's may have its own idea of equality."""
    kind = type(value)
    if type(kind) is not type:
        raise Perhaps
    return kind


_names_of_code: dict[int, Any] = {}


def local_names(code: Any) -> Any:
    """The names that live in slots of its frames, None when it has no slots. The code is kept, so its id is its own."""
    known = _names_of_code.get(id(code))
    if known is None:
        names = frozenset((*code.co_varnames, *code.co_cellvars, *code.co_freevars))
        known = _names_of_code[id(code)] = (code, names if code.co_flags & 1 else None)  # inspect.CO_OPTIMIZED
    return known[1]


def lookup(frame: Any, name: str) -> Any:
    names = local_names(frame.f_code)
    if names is None:
        if frame.f_code.co_name != "<module>":
            raise Perhaps
    elif name in names:
        return _core.watch_load(_core.watch_local(frame, name))
    space = frame.f_globals
    return space[name] if name in space else frame.f_builtins[name]


def attribute_of(owner: Any, name: str) -> Any:
    own = kind_of(owner)
    if any("__getattribute__" in _space_of(base) for base in _mro_of(own)[:-1]):
        raise Perhaps
    place = _core.watch_attribute(owner, name)
    if place:
        return _core.watch_load(place)
    for base in _mro_of(own):
        if name in _space_of(base):
            found = _space_of(base)[name]
            if any("__get__" in _space_of(each) for each in _mro_of(type(found))):
                raise Perhaps
            return found
    raise Perhaps


def item_of(container: Any, key: Any) -> Any:
    if kind_of(container) not in (list, tuple, dict, str) or kind_of(key) not in _SCALARS:
        raise Perhaps
    return container[key]


def truth_of(value: Any) -> bool:
    kind = kind_of(value)
    if kind in _SCALARS or kind in _CONTAINERS:
        return bool(value)
    for base in _mro_of(kind):
        if "__bool__" in _space_of(base) or "__len__" in _space_of(base):
            raise Perhaps
    return True


def number(value: Any) -> Any:
    if kind_of(value) not in _NUMBERS or (type(value) is int and not -_LARGEST < value < _LARGEST):
        raise Perhaps
    return value


def is_equal(left: Any, right: Any) -> bool:
    if kind_of(left) in _SCALARS and kind_of(right) in _SCALARS:
        return bool(left == right)
    if type(left) in (tuple, list) and type(left) is type(right) and len(left) <= _MOST_COMPARED:
        return len(left) == len(right) and all(is_equal(*pair) for pair in zip(left, right))
    raise Perhaps


def ordered(left: Any, right: Any) -> Any:
    if kind_of(left) in _NUMBERS and kind_of(right) in _NUMBERS:
        return left, right
    if type(left) is type(right) and type(left) in (str, bytes):
        return left, right
    raise Perhaps


def contains(container: Any, item: Any) -> bool:
    kind = kind_of(container)
    if kind is str and type(item) is str:
        return item in container
    if kind in (list, tuple) and len(container) <= _MOST_COMPARED:
        return any(is_equal(each, item) for each in container)
    if kind in (dict, set, frozenset) and kind_of(item) in _SCALARS:
        return item in container
    raise Perhaps


def call_builtin(function: Any, arguments: list[Any]) -> Any:
    if function is len and len(arguments) == 1 and kind_of(arguments[0]) in _CONTAINERS:
        return len(arguments[0])
    if function is type and len(arguments) == 1:
        return type(arguments[0])
    if function is isinstance and len(arguments) == 2:
        return is_instance(*arguments)
    if function is abs and len(arguments) == 1:
        return abs(number(arguments[0]))
    raise Perhaps


def is_instance(value: Any, kinds: Any) -> bool:
    if type(kinds) is tuple:
        return any(is_instance(value, kind) for kind in kinds)
    own = kind_of(value)
    if type(kinds) is not type:
        raise Perhaps
    if any("__class__" in _space_of(base) for base in _mro_of(own)[:-1]):
        raise Perhaps
    return kinds in _mro_of(own)


def call_method(owner: Any, name: str, arguments: list[Any]) -> Any:
    if type(owner) is str and name in _TEXT_METHODS and all(type(each) is str for each in arguments):
        return _TEXT_METHODS[name](owner, *arguments)
    if type(owner) is dict and name == "get" and arguments and kind_of(arguments[0]) in _SCALARS:
        return owner.get(*arguments)
    raise Perhaps


def _compare(operate: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: operate(*ordered(left, right))


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Eq": is_equal,
    "NotEq": lambda left, right: not is_equal(left, right),
    "Lt": _compare(lambda left, right: left < right),
    "LtE": _compare(lambda left, right: left <= right),
    "Gt": _compare(lambda left, right: left > right),
    "GtE": _compare(lambda left, right: left >= right),
    "Is": lambda left, right: left is right,
    "IsNot": lambda left, right: left is not right,
    "In": lambda left, right: contains(right, left),
    "NotIn": lambda left, right: not contains(right, left),
}
_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": lambda left, right: left + right,
    "Sub": lambda left, right: left - right,
    "Mult": lambda left, right: left * right,
    "Mod": lambda left, right: left % right,
    "FloorDiv": lambda left, right: left // right,
    "Div": lambda left, right: left / right,
}
_MAKERS: dict[str, Callable[[Any], Term]] = {
    "Constant": _constant,
    "Name": _name,
    "Attribute": _attribute,
    "Subscript": _subscript,
    "Tuple": _tuple,
    "BoolOp": _boolean,
    "UnaryOp": _unary,
    "Compare": _comparison,
    "BinOp": _arithmetic,
    "Call": _call,
}
