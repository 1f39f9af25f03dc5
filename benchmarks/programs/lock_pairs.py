"""Takes and gives back an uncontended lock 50,000 times while a second thread waits; prints the seconds it took."""

import threading
import time

leave = threading.Event()
other = threading.Thread(target=leave.wait)
other.start()
lock = threading.Lock()
began = time.perf_counter()
for _ in range(50_000):
    lock.acquire()
    lock.release()
print(time.perf_counter() - began)
leave.set()
other.join()
