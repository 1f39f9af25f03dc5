"""Programs that are no plain ASCII, or do not compile: what is said of them is what plain Python says, replayed too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCOPE = str(Path(sys.executable).parent / "scope")
RUSSIAN = 'def функция(слово):\n    return "текст" + слово\nprint("привет")\nфункция(1)\n'
JAPANESE = 'def 関数(数):\n    return "日本語" + 数\nprint("こんにちは")\n関数(1)\n'
SOURCES = {
    "names": "ｎａｍｅ = 'full width'\nprint(name, '\\N{bullet}')\n".encode(),
    "warning": b"import sys\ntext = '''a\n \\d'''\nprint(1 is 1, file=sys.stderr)\n",
    "name of no character": b'text = """a\n \\N{bad}\n b"""\n',
    "formatted": b'text = f"""a\n {1 2}\n b"""\n',
    "not closed": b'x = 1\ntext = """a\n b\n',
    "bytes": 'x = b"""a\n é"""\n'.encode(),
    "windows": f"# coding: cp1251\n{RUSSIAN}".encode("cp1251"),
    "koi8": f"#!/usr/bin/python\n# -*- coding: koi8-r -*-\n{RUSSIAN}".encode("koi8-r"),
    "unix": f"# vim: set fileencoding=euc_jp :\n{JAPANESE}".encode("euc_jp"),
    "shift": f"# coding: shift_jis\n{JAPANESE}".encode("shift_jis"),
    "seven bits": "# coding: utf-7\nprint('é')\nraise ValueError('é')\n".encode("utf-7"),
    "euro": "# coding: iso8859-15\nprint('€')\nraise ValueError('€')\n".encode("iso8859-15"),
    "no suffix": f"#!/usr/bin/python\n# coding: koi8-r\n{RUSSIAN}".encode("koi8-r"),
    "marked": "\ufeffprint('é')\nraise ValueError('é')\n".encode(),
    "marked as another": "\ufeff# coding: cp1251\nprint('é')\n".encode(),
    "no encoding": b"# coding: no-such\n",
    "no text": b"# coding: rot13\n",
    "not ASCII": b"# coding: ascii\nx = '\xe9'\n",
    "not UTF-8": b"x = 1\ny = '\xe9'\n",
    "half a character": b"# coding: shift_jis\nx = '''\n\x81'''\n",
    "error of another encoding": "# coding: cp1251\nx = 'текст' +* 1\n".encode("cp1251"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_read_as_by_plain_python(tmp_path: Path, name: str) -> None:
    file = "program" if name == "no suffix" else "program.py"
    (tmp_path / file).write_bytes(SOURCES[name])

    def run(*command: str) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=60)

    plain = run(sys.executable, file)
    recorded = run(SCOPE, "record", "-q", file)
    assert (recorded.returncode, recorded.stdout) == (plain.returncode, plain.stdout)
    assert recorded.stderr.decode() == plain.stderr.decode()
    (tmp_path / file).unlink()
    replayed = run(SCOPE, "verify", "--output")
    assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout)
    assert replayed.stderr.rpartition(b"replayed ")[0] == recorded.stderr
