"""The script of docs/reference/cli.md that starts `serve-fake` in the background, run by a shell."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import SECONDS, neutral_environment
from support.docs_pages import ROOT

PAGE = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
def test_the_script_prints_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain `kill` ends the server with 0, and its last lines are the numbers of requests; the port is a free one."""
    neutral_environment(monkeypatch, tmp_path)
    found = re.search(r"^```sh\n([^`]*^wait [^`]*)^```\n\n```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = found[1].replace("8080", str(port))
    script = re.sub("^arzamed ", f"'{sys.executable}' -m arzamed_async.cli ", script, flags=re.MULTILINE)
    done = subprocess.run(
        ["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(found[2]), done.stderr
