"""Runs servers that fork after their session was used (`preloaded.py`), and says what all of their processes have read."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import sys
from pathlib import Path
from typing import Any

from support.forks import RUNS, Named

FOLDER = Path(__file__).parent


def environment(server: Named) -> dict[str, str]:
    """Return the environment of a server that forks."""
    path = os.pathsep.join(filter(None, (str(FOLDER), os.environ.get("PYTHONPATH"))))
    # multiprocessing has its sockets below TMPDIR, and the path of a Unix socket has 107 bytes at most
    return {**os.environ, "TMPDIR": "/tmp", "ARZAMED_FORK_URL": server.origin, "PYTHONPATH": path}


async def report_of(server: Named, how: str) -> list[dict[str, Any]]:
    """Return what each process of a server that forks in one way has found."""
    ignored = "ignore::ResourceWarning"  # of the stopped loop, which is left open on purpose
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-W", ignored, "-c", f"import preloaded; preloaded.main({how!r}, {RUNS})",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(server),
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(program.communicate(), 60 + 5 * RUNS)
    finally:
        if program.returncode is None:
            program.kill()
    assert errors.decode() == ""
    report: list[dict[str, Any]] = json.loads(out)
    return report


def check(reports: list[dict[str, Any]], server: Named, *, kept: int = 1) -> set[int]:
    """Hold that all records are the clinic's own, and count the token requests. Return the processes that were forked.

    A clinic whose token the parent has takes `kept` in all, and one that a process alone reads takes one.
    """
    found = collections.Counter(each for report in reports for each in report["found"])
    assert found.keys() == {"own"}, found
    assert server.most_tokens("kept") == kept
    assert server.most_tokens("new") == 1
    return {report["process"] for report in reports if report["forked"]}
