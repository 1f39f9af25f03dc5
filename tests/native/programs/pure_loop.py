"""Makes cycles in a long stretch of code that crosses no boundary, beside data that lives; prints what memory it took.

Arguments: how many cycles, and how many objects live.
"""

import resource
import sys
import time


class Node:
    """Part of a cycle."""


class Deque:
    """A doubly linked list: what leaves it at one end points to what lives."""

    def __init__(self) -> None:
        self.first = self.last = Node()

    def push(self, value: object) -> None:
        node = Node()
        node.value, node.before = [value], self.last
        self.last.after = node
        self.last = node

    def pop(self) -> None:
        self.first = self.first.after
        self.first.before = None


cycles, living = int(sys.argv[1]), int(sys.argv[2])
kept = [[each] for each in range(living)]
window = Deque()
before = time.process_time()
for number in range(100):
    window.push(number)
for _ in range(cycles):
    left, right = Node(), Node()
    left.other, right.other = right, left
    left.root = kept
    window.push(left)
    window.pop()
print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} {time.process_time() - before:.3f}")
