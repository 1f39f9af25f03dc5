"""One boundary call, `argv[1]`, many times. Prints the nanoseconds that one took."""
import os
import sys
import time

COUNT = 200_000


def measure(statement):
    source = f"def loop(count):\n    for _ in range(count):\n        {statement}\n"
    exec(compile(source, "loop", "exec"), globals())
    loop(1000)  # noqa: F821
    began = time.perf_counter_ns()
    loop(COUNT)  # noqa: F821
    return (time.perf_counter_ns() - began) / COUNT


print(measure(sys.argv[1]) if os.getpid() else None)
