"""Every kind of control flow once, and nothing from outside: plain Python runs it the same way every time."""

import contextlib
import functools


class Account:
    interest = 3

    def __init__(self, owner, balance):
        self.owner = owner
        self.balance = balance

    def pay(self, amount):
        if amount > self.balance:
            raise ValueError(f"{self.owner} has only {self.balance}")
        self.balance -= amount
        return self.balance

    @property
    def rich(self):
        return self.balance > 50


def fibonacci(n):
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


def evens(limit):
    for number in range(limit):
        if number % 2 == 0:
            yield number


@contextlib.contextmanager
def noted(log, name):
    log.append("in " + name)
    try:
        yield name
    finally:
        log.append("out " + name)


def by_length(word):
    size = len(word)
    return size


def sort_words(words):
    ordered = sorted(words, key=by_length)
    pairs = {word: len(word) for word in ordered}
    return pairs


def try_payments(account, amounts):
    log = []
    for amount in amounts:
        with noted(log, str(amount)):
            try:
                account.pay(amount)
            except ValueError as error:
                log.append(str(error))
            else:
                log.append("paid")
            finally:
                log.append("next")
    return log


def make_counter():
    count = 0

    def increase(by=1):
        nonlocal count
        count += by
        return count

    return increase


@functools.lru_cache(maxsize=None)
def cached(n):
    return n * 2


def one_line(): return fibonacci(2) + fibonacci(1)


def main():
    account = Account("ada", 60)
    log = try_payments(account, [20, 50, 30])
    total = 0
    for number in evens(7):
        total += number
    words = sort_words(["pear", "fig", "banana"])
    counter = make_counter()
    counter()
    counter(by=5)
    numbers = [fibonacci(n) for n in range(5)]
    twice = cached(4) + cached(4)
    short = one_line()
    text = f"{account.rich} {total} {words} {numbers} {twice} {short} {len(log)}"
    print(text)
    while total:
        total -= 4 if total > 3 else total
    lookup = {"a": 1}
    return lookup["b"]


if __name__ == "__main__":
    main()
