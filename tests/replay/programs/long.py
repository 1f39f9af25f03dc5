"""Runs for some million lines, so that motion over it takes a while."""


def spin(rounds):
    total = 0
    for number in range(rounds):
        total += number % 7
        total ^= 1
    return total


def main():
    results = []
    for part in range(10):
        results.append(spin(100_000))
    print(results)


main()
