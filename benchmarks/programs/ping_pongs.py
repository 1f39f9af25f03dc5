"""20,000 messages there and back over TCP between two threads; prints the seconds of CPU that the process took."""

import socket
import threading
import time

ROUNDS = 20_000


def answer(listener: socket.socket) -> None:
    peer, _ = listener.accept()
    with peer:
        while message := peer.recv(64):
            peer.sendall(message)


with socket.create_server(("127.0.0.1", 0)) as listener:
    server = threading.Thread(target=answer, args=(listener,))
    server.start()
    began = time.process_time()
    with socket.create_connection(listener.getsockname()) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(ROUNDS):
            client.sendall(b"ping")
            client.recv(64)
    server.join()
print(time.process_time() - began)
