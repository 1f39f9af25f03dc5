"""What a program stores to attributes and items, seen by plain Python: the second oracle of test_observations.py.

Run as a script with the program's path and that of the result. Behind each statement that stores to or deletes an
attribute or an item stands a call that notes what is there now; the program is the same otherwise. Writes a JSON array
of (kind, number of the object, its type, name or rendering of the key, rendering of the value or null).
"""

import ast
import json
import sys
import types
from pathlib import Path

from rendering import render, type_name

kept = []
rows = []


def number(thing):
    """From 0; what has a number stays alive, so that no other object is taken for it."""
    for i, other in enumerate(kept):
        if other is thing:
            return i
    kept.append(thing)
    return len(kept) - 1


def is_plain(kind, name):
    """Whether the object itself keeps the attribute, and nobody has redefined how."""
    found = [vars(base)[name] for base in kind.__mro__ if name in vars(base)]
    is_slot = found and isinstance(found[0], types.MemberDescriptorType)
    is_set = found and hasattr(type(found[0]), "__set__") and not is_slot
    return kind.__setattr__ in (object.__setattr__, type.__setattr__, BaseException.__setattr__) and not is_set


def note_attribute(thing, name, deleted):
    if is_plain(type(thing), name):
        value = None if deleted else render(object_value(thing, name))[0]
        rows.append(("attribute", number(thing), type_name(type(thing)), name, value))


def object_value(thing, name):
    return type.__getattribute__(thing, name) if isinstance(thing, type) else object.__getattribute__(thing, name)


def note_item(thing, key, deleted):
    if type(thing).__setitem__ in (dict.__setitem__, list.__setitem__, bytearray.__setitem__):
        is_gone = deleted or isinstance(key, slice)
        value = None if is_gone else render(type(thing).__mro__[-2].__getitem__(thing, key))[0]
        rows.append(("item", number(thing), type_name(type(thing)), render(key)[0], value))


class Noting(ast.NodeTransformer):
    """Puts a call behind each statement that stores."""

    def visit_Assign(self, node):
        return [node, *self.notes([target for store in node.targets for target in flat(store)])]

    def visit_AugAssign(self, node):
        return [node, *self.notes([node.target])]

    def visit_Delete(self, node):
        return [node, *self.notes(node.targets, deleted=True)]

    def visit_match_case(self, node):
        """The rest of a mapping is a copy from which the keys are deleted."""
        self.generic_visit(node)
        if isinstance(node.pattern, ast.MatchMapping) and node.pattern.rest:
            rest = ast.Name(node.pattern.rest, ast.Load())
            node.body[:0] = self.notes([ast.Subscript(rest, key, ast.Del()) for key in node.pattern.keys], deleted=True)
        return node

    def notes(self, targets, deleted=False):
        for target in targets:
            if isinstance(target, ast.Attribute):
                call = "__note_attribute__", target.value, ast.Constant(target.attr)
            elif isinstance(target, ast.Subscript):
                call = "__note_item__", target.value, as_key(target.slice)
            else:
                continue
            name, thing, what = call
            arguments = [loading(thing), loading(what), ast.Constant(deleted)]
            yield ast.Expr(ast.Call(ast.Name(name, ast.Load()), arguments, []))


def flat(target):
    return [one for item in target.elts for one in flat(item)] if isinstance(target, ast.Tuple) else [target]


def as_key(node):
    if not isinstance(node, ast.Slice):
        return node
    ends = [end or ast.Constant(None) for end in (node.lower, node.upper)]
    return ast.Call(ast.Name("slice", ast.Load()), ends, [])


def loading(node):
    """The same expression, evaluated once more."""
    return ast.parse(ast.unparse(node), mode="eval").body


def main(program, result):
    tree = ast.fix_missing_locations(Noting().visit(ast.parse(Path(program).read_text())))
    namespace = {"__name__": "__main__", "__note_attribute__": note_attribute, "__note_item__": note_item}
    exec(compile(tree, program, "exec"), namespace)
    Path(result).write_text(json.dumps(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
