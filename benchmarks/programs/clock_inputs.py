"""200,000 clock readings, for the size of their trace. Prints how many."""
import time

COUNT = 200_000
for _ in range(COUNT):
    time.time()
print(COUNT)
