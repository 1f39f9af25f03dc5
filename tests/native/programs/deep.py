"""Stands at the recursion limit."""
# ruff: noqa: RET504


def down(n):
    try:
        return down(n + 1)
    except RecursionError:
        here = n
        return here


reached = down(0)
done = True
