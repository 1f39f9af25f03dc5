"""The adapter as `scope dap` runs it, with the fake timeline and the fake recorder behind it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from retroscope.dap_adapter.channel import MessageLog
from retroscope.dap_adapter.configuration import Launch
from retroscope.dap_adapter.server import Server

from tests.dap import fake_timeline


def record_command(launch: Launch, trace: Path) -> list[str]:
    return [launch.python, str(Path(__file__).parent / "fake_record.py"), str(trace), *launch.target]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--log", type=Path, default=os.environ.get("DAP_LOG"))
    options = parser.parse_args()
    log = MessageLog(Path(options.log)) if options.log else None
    server = Server(fake_timeline.FakeTimeline.open, record_command, log)
    if options.port is None:
        server.serve_stdio()
    else:
        server.serve_port(options.port)
