"""`scope dap` as one file: clients that start an adapter as "interpreter, script" need one."""

from __future__ import annotations

import os
import sys

from retroscope.cli.main import main

if __name__ == "__main__":
    log = ["--log", os.environ["DAP_LOG"]] if "DAP_LOG" in os.environ else []
    sys.exit(main(["dap", *log, *sys.argv[1:]]))
