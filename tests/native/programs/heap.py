"""Allocates a lot, unevenly, and keeps addresses: they must come out the same in every run from one fork."""

import json


class Node:
    def __init__(self, number):
        self.number = number
        self.names = {number: str(number)}


def work(rounds):
    kept = []
    addresses = []
    for number in range(rounds):
        node = Node(number)
        kept.append(node)
        if number % 7 == 0:
            kept.pop(number % len(kept))
        if number % 100 == 0:
            text = json.dumps([each.names for each in kept[-20:]])
            others = {str(each) for each in range(30)}
            addresses.append((id(node), id(text), id(others), id([])))
    return addresses


before = work(300)
after = work(3000)
done = True
