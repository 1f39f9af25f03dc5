"""Four threads count in a shared variable without a lock, argv[1] times each; prints what they made of it."""
import sys
import threading
import time

count = 0


def work(times):
    global count
    for number in range(times):
        seen = count
        if number % 1000 == 0:
            time.sleep(0)
        count = seen + 1


threads = [threading.Thread(target=work, args=(int(sys.argv[1]),)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(count)
