"""CPU-bound: nested loops over ints and lists. Prints the seconds that the work took."""
import time


def work():
    total = 0
    row = list(range(300))
    for outer in range(1500):
        for inner in row:
            total += inner * outer % 7
            if total > 1_000_000:
                total -= 999_983
    return total


began = time.perf_counter()
for _ in range(20):
    work()
print(time.perf_counter() - began)
