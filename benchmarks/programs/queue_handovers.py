"""20,000 items through a queue that holds one, from one thread to another; prints the seconds it took."""

import queue
import threading
import time

ITEMS = 20_000
items: "queue.Queue[int | None]" = queue.Queue(1)
total = 0


def consume() -> None:
    global total
    while (item := items.get()) is not None:
        total += item


consumer = threading.Thread(target=consume)
consumer.start()
began = time.perf_counter()
for item in range(ITEMS):
    items.put(item)
items.put(None)
consumer.join()
print(time.perf_counter() - began)
assert total == ITEMS * (ITEMS - 1) // 2
