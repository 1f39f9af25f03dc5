"""80,000 operations on a socket pair. Prints the seconds that the work took."""
import socket
import time

left, right = socket.socketpair()
message = b"x" * 64
began = time.perf_counter()
for _ in range(20_000):
    left.sendall(message)
    right.recv(64)
    right.sendall(message)
    left.recv(64)
print(time.perf_counter() - began)
