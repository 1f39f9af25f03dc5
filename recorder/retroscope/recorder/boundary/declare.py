"""The words in which a domain file says what of a C module is boundary.

Everything callable of a listed module is RESULT unless the file says otherwise: a hand-written list
always misses a clock. Policies are those of recorder/native-core/boundary.h.
"""

from retroscope.recorder.boundary.blocking import BLOCKING


class Policy:
    """How one callable crosses the boundary. `encode(result, self, args, kwargs)` makes a plain value,
    `decode(value, self, args, kwargs)` the result again; `when(self, args, kwargs)` says whether this call
    crosses at all; `wrap(call, self, args, kwargs)` replaces it when argument `index` is given and not None."""

    def __init__(self, kind, *, index=0, descriptor=0, encode=None, decode=None, when=None, wrap=None, member=None,
                 operation=None):
        self.kind = kind
        self.options = {
            name: value
            for name, value in (
                ("index", index), ("descriptor", descriptor), ("encode", encode), ("decode", decode),
                ("when", when), ("wrap", wrap),
            )
            if value
        }  # fmt: skip
        self.member = member
        self.operation = operation


RESULT = Policy("RESULT")
RERUN = Policy("RERUN")
PASS = None


def thread(operation):
    """An operation of recorder/native-core/threads.h."""
    return Policy("THREAD", operation=operation)


def output(*, data, descriptor):
    return Policy("OUTPUT", index=data, descriptor=descriptor)


def buffer(index):
    return Policy("BUFFER", index=index)


def adapt(encode, decode, *, when=None, wrap=None, index=0, member=None):
    return Policy("ADAPT", encode=encode, decode=decode, when=when, wrap=wrap, index=index, member=member)


def always(wrap):
    """`wrap(call, self, args, kwargs)` stands for every call."""
    return Policy("RESULT", wrap=wrap, index=-1)


class Type:
    """A C type of a module. Its methods are RESULT by default (`methods=PASS`: only those named)."""

    def __init__(self, name, *, methods=RESULT, attributes=PASS, special=None, passing="", handle=None):
        self.name = name
        self.methods = methods
        self.attributes = attributes
        self.special = special or {}
        self.passing = frozenset(passing.split())
        self.handle = handle  # (encode(object), decode(type, value, self)) or None


class Module:
    """A C module. Its functions are RESULT by default (`functions=PASS`: only those in `special`)."""

    def __init__(self, name, *, functions=RESULT, special=None, passing="", types=()):
        self.name = name
        self.functions = functions
        self.special = special or {}
        self.passing = frozenset(passing.split())
        self.types = types


_FUNCTION = type(len)
_METHODS = (type(str.join), type(dict.__dict__["fromkeys"]))
_ATTRIBUTE = type(type(len).__dict__["__name__"])


def apply(core, known, module):
    """Patches what `known` says of the loaded `module`."""
    namespace = vars(module)
    for name, value in list(namespace.items()):
        if isinstance(value, _FUNCTION):
            policy = known.special.get(name, known.functions)
            if policy is not PASS and name not in known.passing and value.__module__ == known.name:
                _patch(core, value, module, name, f"{known.name}.{name}", policy)
        elif isinstance(value, type):
            _know(core, value)
    for kind in known.types:
        found = kind.name(module) if callable(kind.name) else namespace.get(kind.name)
        if found is not None:
            _apply_type(core, kind, found, known.name)


def _know(core, kind):
    """Exceptions and struct sequences that results may hold."""
    if issubclass(kind, BaseException) or (issubclass(kind, tuple) and hasattr(kind, "n_sequence_fields")):
        core.know(kind, _name(kind))


def _name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def _apply_type(core, kind, found, module):
    prefix = f"{module}.{found.__name__}."
    for name, value in list(vars(found).items()):
        if isinstance(value, _METHODS):
            policy = kind.special.get(name, kind.methods)
        elif isinstance(value, _ATTRIBUTE):
            policy = kind.special.get(name, kind.attributes)
        else:
            policy = kind.special.get(name)
        if policy is PASS or name in kind.passing or name in ("__reduce__", "__reduce_ex__", "__getstate__", "__class_getitem__"):
            continue
        target = value.__func__ if isinstance(value, staticmethod) else value
        _patch(core, target, found, name, prefix + name, policy)
    if kind.handle:
        core.know(found, _name(found), *kind.handle)


def _patch(core, target, owner, attribute, name, policy):
    options = dict(policy.options)
    if policy.member:
        options["member"] = vars(owner)[policy.member]
    if policy.operation:
        options["index"] = getattr(core, policy.operation)
    if name in BLOCKING:
        options["blocking"] = getattr(core, BLOCKING[name])
    core.patch(target, owner, attribute, name, getattr(core, policy.kind), **options)
