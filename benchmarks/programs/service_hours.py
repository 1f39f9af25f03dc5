"""A busy service, argv[1] requests: clocks, random ids, messages on a socket, a bounded cache. Prints a digest."""
import os
import random
import socket
import sys
import time
import zlib

requests = int(sys.argv[1])
client, server = socket.socketpair()
cache = {}
digest = 0
for number in range(requests):
    began = time.monotonic()
    client.send(b"GET /item/%d" % (number % 5000))
    request = server.recv(4096)
    key = request.rpartition(b"/")[2]
    body = cache.get(key)
    if body is None or random.random() < 0.2:
        body = cache[key] = key + os.urandom(16).hex().encode()
    server.send(b"HTTP/1.1 200 OK\r\nDate: %d\r\n\r\n" % int(time.time()) + body)
    digest = zlib.crc32(client.recv(4096), digest)
    if time.monotonic() < began:
        break
print(digest)
