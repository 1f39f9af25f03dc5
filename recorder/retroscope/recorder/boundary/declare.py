"""The words in which a domain file says what of a C module is boundary.

Everything callable of a listed module is RESULT unless the file says otherwise: a hand-written list
always misses a clock. Policies are those of recorder/native-core/boundary.h.
"""

import sys

from retroscope.recorder.boundary.blocking import ASKING, BLOCKING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType
    from typing import Any

    from retroscope.recorder.annotations import (
        Args,
        Core,
        Decode,
        Encode,
        FindType,
        Handle,
        Kwargs,
        Rewrite,
        When,
        Wrap,
    )


class Policy:
    """How one callable crosses the boundary. `encode(result, self, args, kwargs)` makes a plain value,
    `decode(value, self, args, kwargs)` the result again; `when(self, args, kwargs)` says whether this call
    crosses at all; `wrap(call, self, args, kwargs)` replaces it when argument `index` is given and not None; `changes`
    are members of self that a call may change; `rewrite(self, args, kwargs)` gives other positional arguments for the
    original while recording, or None. RESULT: `index` is 1 + that of an argument whose value does not count."""

    def __init__(
        self,
        kind: str,
        *,
        index: int = 0,
        descriptor: int = 0,
        encode: "Encode | None" = None,
        decode: "Decode | None" = None,
        when: "When | None" = None,
        wrap: "Wrap | None" = None,
        member: "str | None" = None,
        operation: "str | None" = None,
        changes: "tuple[str, ...]" = (),
        rewrite: "Rewrite | None" = None,
        through: "tuple[str, str] | None" = None,
    ) -> None:
        self.kind = kind
        self.options: dict[str, Any] = {
            name: value
            for name, value in (
                ("index", index), ("descriptor", descriptor), ("encode", encode), ("decode", decode),
                ("when", when), ("wrap", wrap), ("rewrite", rewrite),
            )
            if value
        }  # fmt: skip
        self.member = member
        self.operation = operation
        self.changes = changes
        self.through = through


RESULT = Policy("RESULT")
RERUN = Policy("RERUN")
ALONE = Policy("ALONE")
KEEP = Policy("KEEP")
PASS = None


def thread(operation: str) -> Policy:
    """An operation of recorder/native-core/threads.h."""
    return Policy("THREAD", operation=operation)


def output(*, data: int, descriptor: int) -> Policy:
    return Policy("OUTPUT", index=data, descriptor=descriptor)


def buffer(index: int) -> Policy:
    return Policy("BUFFER", index=index)


def adapt(
    encode: "Encode | None",
    decode: "Decode | None",
    *,
    when: "When | None" = None,
    wrap: "Wrap | None" = None,
    index: int = 0,
    member: "str | None" = None,
    rewrite: "Rewrite | None" = None,
) -> Policy:
    return Policy(
        "ADAPT", encode=encode, decode=decode, when=when, wrap=wrap, index=index, member=member, rewrite=rewrite
    )


def argument(args: "Args", kwargs: "Kwargs", index: int, name: str, default: "Any" = None) -> "Any":
    """What a call was given by place or by name."""
    return args[index] if len(args) > index else (kwargs or {}).get(name, default)


def always(wrap: "Wrap") -> Policy:
    """`wrap(call, self, args, kwargs)` stands for every call."""
    return Policy("RESULT", wrap=wrap, index=-1)


def through(made_by: str, name: str) -> Policy:
    """Does in C what `made_by`, a method of self, and `name`, a method of what that returns, do: both cross."""
    return Policy("THROUGH", through=(made_by, name))


class Type:
    """A C type of a module. Its methods are RESULT by default (`methods=PASS`: only those named). `prints`: its repr
    shows an address; `hashes`: its hash is the address, "always" or "sometimes". `leads_to`: attributes that
    hold objects which a callback may be given."""

    def __init__(
        self,
        name: "str | FindType",
        *,
        methods: "Policy | None" = RESULT,
        attributes: "Policy | None" = PASS,
        special: "Mapping[str, Policy | None] | None" = None,
        passing: str = "",
        handle: "Handle | None" = None,
        prints: bool = False,
        hashes: "str | None" = None,
        leads_to: "tuple[str, ...]" = (),
    ) -> None:
        self.name = name
        self.methods = methods
        self.attributes = attributes
        self.special = special or {}
        self.passing = frozenset(passing.split())
        self.prints = prints
        self.hashes = hashes
        self.leads_to = leads_to
        self.handle = handle  # (encode(object), decode(type, value, self)) or None


class Module:
    """A C module. Its functions are RESULT by default (`functions=PASS`: only those in `special`).

    `inside`: dotted path from an extension to a module that it makes itself; one of another release of the package may
    lack it. `ready(core, module)` is called when the module is loaded and patched."""

    def __init__(
        self,
        name: str,
        *,
        functions: "Policy | None" = RESULT,
        special: "Mapping[str, Policy | None] | None" = None,
        passing: str = "",
        types: "Sequence[Type]" = (),
        inside: str = "",
        ready: "Callable[[Core, ModuleType], object] | None" = None,
    ) -> None:
        self.name = name
        self.ready = ready
        self.inside = inside
        self.functions = functions
        self.special = special or {}
        self.passing = frozenset(passing.split())
        self.types = types


_FUNCTION = type(len)
_METHODS = (type(str.join), type(dict.__dict__["fromkeys"]))
_ATTRIBUTE = type(type(len).__dict__["__name__"])
_CYTHON = "cython_function_or_method"
_NEVER = ("__reduce__", "__reduce_ex__", "__getstate__", "__class_getitem__")


def apply(core: "Core", known: Module, module: "ModuleType") -> None:
    """Patches what `known` says of the loaded `module`."""
    own, prefix = known.name, known.name
    for name in known.inside.split(".") if known.inside else ():
        if not hasattr(module, name):
            return
        module = getattr(module, name)
        own, prefix = module.__name__, f"{prefix}.{name}"
    namespace = vars(module)
    for name, value in list(namespace.items()):
        if isinstance(value, _FUNCTION):
            policy = known.special.get(name, known.functions)
            if policy is not PASS and name not in known.passing and value.__module__ == own:
                _patch(core, value, module, name, f"{prefix}.{name}", policy)
        elif isinstance(value, type):
            _know(core, value)
        elif type(value).__name__ == _CYTHON:
            policy = known.special.get(name)
            if policy is not PASS:
                _patch(core, value, module, name, f"{prefix}.{name}", policy)
    for kind in known.types:
        found = kind.name(module) if callable(kind.name) else namespace.get(kind.name)
        if found is not None:
            _apply_type(core, kind, found, prefix)
    if known.ready:
        known.ready(core, module)


def _know(core: "Core", kind: type) -> None:
    """Exceptions and struct sequences that results may hold."""
    if issubclass(kind, BaseException) or (issubclass(kind, tuple) and hasattr(kind, "n_sequence_fields")):
        core.know(kind, _name(kind))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _apply_type(core: "Core", kind: Type, found: type, module: str) -> None:
    prefix = f"{module}.{found.__name__}."
    for name, value in list(vars(found).items()):
        if isinstance(value, _METHODS):
            policy = kind.special.get(name, kind.methods)
        elif isinstance(value, _ATTRIBUTE):
            policy = kind.special.get(name, kind.attributes)
        else:
            policy = kind.special.get(name)
        if policy is PASS or name in kind.passing or name in _NEVER:
            continue
        target = value.__func__ if isinstance(value, staticmethod) else value
        _patch(core, target, found, name, prefix + name, policy)
    for name, policy in kind.special.items():  # "attribute=": setting it
        if policy is not PASS and name.endswith("=") and name[:-1] in vars(found):
            _patch(core, vars(found)[name[:-1]], found, name, prefix + name, policy)
    if kind.prints:
        core.address_prints(found)
    if kind.hashes:
        core.identity_hashes(found, kind.hashes == "always")
    if kind.leads_to:
        core.leads_on(found, kind.leads_to)
    if kind.handle:
        core.know(found, _name(found), *kind.handle)


def _patch(core: "Core", target: "Any", owner: "Any", attribute: str, name: str, policy: Policy) -> None:
    options = dict(policy.options)
    if policy.member:
        options["member"] = vars(owner)[policy.member]
    if policy.changes:
        options["changes"] = tuple(vars(owner)[change] for change in policy.changes)
    if policy.through:
        options["encode"], options["decode"] = vars(owner)[policy.through[0]], sys.intern(policy.through[1])
    if policy.operation:
        options["index"] = getattr(core, policy.operation)
    if name in ASKING:
        options["asks"] = True
    if name in BLOCKING:
        options["blocking"] = getattr(core, BLOCKING[name])
    core.patch(target, owner, attribute, name, getattr(core, policy.kind), **options)
