"""About a hundred million line events. A line that runs once, and an attribute written once, are at its start."""


class Box:
    def __init__(self):
        self.rare = 0
        self.total = 0


def once(box):
    box.rare = 42


def work(number, box):
    doubled = number * 2
    more = doubled + 1
    return more & 7


def main(rounds):
    box = Box()
    total = 0
    for number in range(rounds):
        total += work(number, box)
        if number == 17:
            once(box)
    box.total = total
    return rounds


print(main(17_000_000))
