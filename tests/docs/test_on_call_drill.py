"""docs/how-to/on-call-drill.md, done with real processes: what is printed is what the page says."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.cli import ended, neutral_environment, running
from support.docs_pages import ROOT

PAGE = (ROOT / "docs/how-to/on-call-drill.md").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="pipes and processes are others there")
def test_each_step_prints_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of the page is run, in order, and its output compared; the server has a free port."""
    neutral_environment(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    compared, port, printed = 0, "8080", ""
    with ExitStack() as servers:
        for language, text in blocks:
            if language == "text":
                expected = re.escape(text.replace(":8080/", f":{port}/")).replace("…", ".*")
                assert re.fullmatch(expected, printed), f"{text}\nis not\n{printed}"
                compared += 1
                continue
            arguments = shlex.split(text)[1:]
            if arguments[0] == "serve-fake":
                servers.close()
                arguments[arguments.index("8080")] = "0"
                server = servers.enter_context(running(*arguments))
                assert server.stdout is not None
                found = re.search(rb":(\d+)/", server.stdout.read(200))
                assert found
                port = found[1].decode()
            else:
                arguments = [each.replace(":8080/", f":{port}/") for each in arguments]
                _, written, said = ended(*arguments)
                printed = (written + said).decode()
    assert compared == 8
