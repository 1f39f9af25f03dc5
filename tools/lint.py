"""Runs every static check and says at the end which failed: ruff, mypy, import contracts, C warnings."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def compile_core() -> list[str]:
    """The C compiler over the core's sources, warnings being errors; it writes nothing."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("recorder/native-core/*.c"))
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror", "-fsyntax-only"]
    return ["cc", *flags, "-isystem", sysconfig.get_path("include"), *sources]


def main() -> int:
    checks = {
        "style": [str(BIN / "ruff"), "check", "."],
        "types": [str(BIN / "mypy")],
        "import contracts": [str(BIN / "lint-imports"), "--no-cache", "--no-logo"],
        "C warnings": compile_core(),
    }
    failed = []
    for name, command in checks.items():
        print(f"{name}:", flush=True)
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"lint failed: {', '.join(failed)}" if failed else "lint: all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
