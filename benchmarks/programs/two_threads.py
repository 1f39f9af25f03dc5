"""Two threads that compute; prints the seconds of CPU that the process took."""

import threading
import time


def compute() -> None:
    total = 0
    for number in range(3_000_000):
        if number % 3:
            total += number
        else:
            total ^= step(number)


def step(number: int) -> int:
    return number * 7 & 0xFFFF


began = time.process_time()
threads = [threading.Thread(target=compute) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(time.process_time() - began)
