"""Stands in for `scope record`: TRACE PROGRAM [ARGS…]."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.dap.fake_timeline import record

if __name__ == "__main__":
    sys.exit(record(sys.argv[1:]))
