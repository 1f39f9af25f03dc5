"""CPU-bound: json and regular expressions. Prints the seconds that the work took."""
import json
import re
import time

document = {"orders": [{"id": n, "who": f"customer {n % 17}", "lines": [n, n * 0.5, None]} for n in range(200)]}
word = re.compile(r'"who": "(\w+) (\d+)"')


def work():
    total = 0
    for _ in range(600):
        text = json.dumps(document)
        for match in word.finditer(text):
            total += int(match[2])
        total += len(json.loads(text)["orders"])
    return total


began = time.perf_counter()
work()
print(time.perf_counter() - began)
