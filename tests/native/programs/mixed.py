"""A bit of everything that makes frames: recursion, generators, callbacks from C, classes, exceptions."""
# ruff: noqa: C417, PLW2901

import json


class Account:
    def __init__(self, owner, amount):
        self.owner = owner
        self.amount = amount

    def __repr__(self):
        return f"<{self.owner}: {self.amount}>"

    def pay(self, amount):
        if amount > self.amount:
            raise ValueError(f"{self.owner} has only {self.amount}")
        self.amount -= amount
        return self.amount


def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)


def countdown(n):
    while n > 0:
        yield n
        n -= 1


def delegate(n):
    yield from countdown(n)
    yield -1


def spin(n):
    while n:
        n -= 1
        if n % 2:
            continue
        n = max(n, 0)
    return n


def key(item):
    value = item[1]
    return -value


def attempts():
    account = Account("ann", 10)
    failures = 0
    for amount in (3, 20, 4, 30, 1):
        try:
            account.pay(amount)
        except ValueError as error:
            message = str(error)
            failures += len(message)
        finally:
            amount = 0
    return failures


total = 0
for i in range(6):
    total += fib(i)
    total += sum(countdown(i))
    total += sum(delegate(i))
    total += spin(i)
pairs = sorted({"a": 1, "b": 3, "c": 2}.items(), key=key)
squares = [x * x for x in range(5)]
doubled = list(map(lambda x: x * 2, squares))
failed = attempts()
text = json.dumps({"total": total, "squares": squares, "pairs": pairs}, indent=1)
back = json.loads(text)
done = True
