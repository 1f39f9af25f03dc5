"""CPU-bound: calls. Prints the seconds that the work took."""
import time


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


began = time.perf_counter()
fib(33)
print(time.perf_counter() - began)
