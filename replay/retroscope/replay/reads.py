"""What a line of source reads: the expressions whose values went into what it did."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_MOST = 12


def expressions_read(source: str, line: int) -> list[str]:
    """Names, and chains of attributes and constant items of names, that the statement at `line` reads, in their order.

    Of a statement with a body only its head counts. Nothing for source that does not parse.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    statement = _statement_at(tree, line)
    found: dict[str, None] = {}
    for part in _heads(statement) if statement else ():
        for expression in _chains(part, frozenset()):
            found.setdefault(expression)
    return list(found)[:_MOST]


def _statement_at(tree: ast.Module, line: int) -> ast.stmt | None:
    """The innermost one that the line belongs to."""
    within = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return min(within, key=lambda node: ((node.end_lineno or 0) - node.lineno, -node.lineno), default=None)


def _heads(statement: ast.stmt) -> list[ast.expr]:
    """The parts of a statement that are evaluated where it stands; what it binds does not count, but for its inside."""
    match statement:
        case ast.Assign(targets=targets, value=value):
            return [*_insides(targets), value]
        case ast.AugAssign(target=target, value=value):
            return [target, value]
        case ast.AnnAssign(target=target, value=value):
            return [*_insides([target]), *([value] if value else [])]
        case ast.For(iter=value) | ast.AsyncFor(iter=value):
            return [value]
        case ast.If(test=value) | ast.While(test=value):
            return [value]
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return [item.context_expr for item in items]
        case ast.Match(subject=value):
            return [value]
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Try():
            return []
    return [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr)]


def _insides(targets: list[ast.expr]) -> Iterator[ast.expr]:
    """Of `box.items[n] = …`: `box.items` and `n`."""
    for target in targets:
        if isinstance(target, ast.Attribute):
            yield target.value
        elif isinstance(target, ast.Subscript):
            yield target.value
            yield target.slice
        elif isinstance(target, ast.Tuple | ast.List):
            yield from _insides(target.elts)


def _chains(node: ast.AST, bound: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        yield from _of_comprehension(node, bound)
        return
    if isinstance(node, ast.expr) and (name := _root(node)) is not None:
        if name not in bound:
            yield ast.unparse(node)
        return
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute):
            yield from _chains(node.func.value, bound)
        elif not isinstance(node.func, ast.Name):
            yield from _chains(node.func, bound)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from _chains(argument, bound)
        return
    for child in ast.iter_child_nodes(node):
        yield from _chains(child, bound)


def _of_comprehension(
    node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, bound: frozenset[str]
) -> Iterator[str]:
    own = {name.id for part in node.generators for name in ast.walk(part.target) if isinstance(name, ast.Name)}
    for child in ast.iter_child_nodes(node):
        yield from _chains(child, bound | own)


def _root(node: ast.expr) -> str | None:
    """The name that a chain of attributes and items with constant or named keys begins with; None: it is no chain."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return _root(node.value)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant | ast.Name):
        return _root(node.value)
    return None
