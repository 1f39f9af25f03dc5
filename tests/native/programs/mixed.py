"""A bit of everything that makes frames: recursion, generators, callbacks from C, classes, exceptions."""
# ruff: noqa: C417

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


class Chain:
    def __init__(self, n, source):
        self.inner = Chain(n - 1, source) if n else None
        self.seen = next(source, None), next(source, None)

    def __iter__(self):
        yield self.seen
        if self.inner:
            yield from self.inner

    def __len__(self):
        return 1 + (len(self.inner) if self.inner else 0)

    @property
    def depth(self):
        return 0 if self.inner is None else self.inner.depth + 1


def bounce(source, n):
    return (next(source, 0), bounce(source, n - 1)) if n else next(source, 0)


async def inner(n):
    await Tick()
    return n


async def middle(n):
    return await inner(n) + await inner(n)


class Tick:
    def __await__(self):
        yield self


async def numbers(n):
    for i in range(n):
        yield await inner(i)


async def outer():
    found = [await middle(2)]
    async for n in numbers(3):
        found.append(n)
    return found


def drive(coroutine):
    steps = 0
    try:
        while True:
            coroutine.send(None)
            steps += 1
    except StopIteration as end:
        return steps, end.value


source = (n * n for n in range(40))
chain = Chain(4, source)
chained = list(chain), len(chain), chain.depth, bool(chain)
bounced = bounce(source, 3), next(source), (lambda: next(source))(), next(source)
steps, awaited = drive(outer())
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
