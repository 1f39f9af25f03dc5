"""Asks the server on a port 1,500 times over four connections at once; prints the seconds it took."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

EACH, CONNECTIONS = 375, 4


def ask(_: int) -> None:
    connection = HTTPConnection("127.0.0.1", int(sys.argv[1]))
    for _ in range(EACH):
        connection.request("GET", "/")
        assert len(connection.getresponse().read()) > 300
    connection.close()


began = time.perf_counter()
with ThreadPoolExecutor(CONNECTIONS) as pool:
    list(pool.map(ask, range(CONNECTIONS)))
print(time.perf_counter() - began)
