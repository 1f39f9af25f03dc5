"""A threaded HTTP server, asked 1,500 times over four connections by another process; prints the seconds it took."""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        body = b"{" + b",".join(b'"%d": %d' % (number, number * number) for number in range(50)) + b"}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
Thread(target=server.serve_forever, daemon=True).start()
client = Path(__file__).with_name("web_client.py")
command = ["/usr/bin/env", "--", sys.executable, client, str(server.server_address[1])]
print(float(subprocess.run(command, capture_output=True, check=True).stdout))
server.shutdown()
