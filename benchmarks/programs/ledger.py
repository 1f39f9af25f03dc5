"""CPU-bound, with objects: some lines a round, argv[1] rounds. `opened` is written once, at the beginning."""
import sys


class Ledger:
    def __init__(self):
        self.total = 0
        self.entries = []

    def enter(self, amount):
        self.total += amount
        self.entries.append(amount)
        if len(self.entries) > 100:
            self.entries = self.entries[50:]
        return self.total


def main(ledger, rounds):
    for number in range(rounds):
        if number % 3:
            ledger.enter(number % 97)


ledger = Ledger()
ledger.opened = int(sys.argv[1])
main(ledger, ledger.opened)
print("entered")
print(ledger.total + ledger.opened)
