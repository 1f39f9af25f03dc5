"""About ten million line events, in functions, loops and a clock now and then. Prints how many rounds."""
import time


def inner(value):
    total = value
    for number in range(20):
        total += number
        total ^= value
    return total


def rounds(count):
    result = 0
    for number in range(count):
        result = inner(result & 0xFFFF)
        if number % 1000 == 0:
            time.time()
    return count


print(rounds(152_000))
