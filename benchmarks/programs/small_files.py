"""20,000 times open, read, close of small files. Prints the seconds that the work took."""
import os
import tempfile
import time

with tempfile.TemporaryDirectory() as folder:
    names = [os.path.join(folder, f"{n}.txt") for n in range(100)]
    for name in names:
        with open(name, "w") as out:
            out.write("some small text\n" * 10)
    began = time.perf_counter()
    for number in range(20_000):
        with open(names[number % 100]) as text:
            text.read()
    elapsed = time.perf_counter() - began
print(elapsed)
