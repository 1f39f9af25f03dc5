"""Never ends by itself."""

n = 0
while True:
    n += 1
