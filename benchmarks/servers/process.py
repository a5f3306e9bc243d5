"""A server of the benchmarks in a process of its own: how it is started, reports its port, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["serve_until_the_starter_ends", "server_process"]


@contextlib.contextmanager
def server_process(module: str, *arguments: str, core: int | None = None) -> Iterator[int]:
    """Run a module as a server, on that core if one is given; give its port; stop it by its process id."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            yield int(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(10)


async def serve_until_the_starter_ends(port: int) -> None:
    """Print the port for `server_process`, in the server itself; return when the process that started it has ended."""
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
