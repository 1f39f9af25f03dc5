"""`scope dap`: the Debug Adapter Protocol on standard input and output, or on a loopback port."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

USER_ERROR = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help="serve one client after another on 127.0.0.1:N (0: a free port, printed as 'listening on N')",
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="append every message of the protocol to FILE")


def run(args: argparse.Namespace) -> int:
    """Serves until the client has gone, or with a port until interrupted; the exit status of the command."""
    from retroscope.dap_adapter.channel import MessageLog
    from retroscope.dap_adapter.server import Server

    try:
        server = Server(log=MessageLog(args.log) if args.log else None)
    except OSError as error:
        print(f"scope dap: {args.log} cannot be written: {error.strerror}", file=sys.stderr)
        return USER_ERROR
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # an editor that a shell put in the background has it ignored, and so would every program that we launch
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if args.port is None:
        server.serve_stdio()
        return 0
    try:
        server.serve_port(args.port)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        print(f"scope dap: port {args.port} cannot be used: {reason}; 0 takes a free one", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        pass  # how one ends a server
    return 0


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return port
