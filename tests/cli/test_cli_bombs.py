"""What a small response may make of a command's memory: each run is a process of its own, whose peak the kernel reports."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import RawServer, Request, answer

if not Path("/proc/self/status").exists():  # the peak is read from it
    pytest.skip("this system has no /proc", allow_module_level=True)

MIB = 2**20
PROGRAM = """
import sys
from arzamed_async.cli.main import main

try:
    main()
finally:
    with open("/proc/self/status") as status:
        sys.stderr.write(next(line for line in status if line.startswith("VmHWM")))
"""


class Bombs(RawServer):
    """Sends as many empty objects as the clinic's name says, compressed."""

    def __init__(self) -> None:
        super().__init__(self.serve)
        self.body = b""

    def load(self, count: int) -> None:
        self.body = gzip.compress(b"[" + b"{}," * (count - 1) + b"{}]")

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await self.good(request, writer)
        else:
            writer.write(answer(200, self.body, "Content-Encoding: gzip\r\n"))


@pytest.fixture
def bombs() -> Iterator[Bombs]:
    """A server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Bombs()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(60)
    yield server
    asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def peak(server: Bombs, folder: Path, form: str) -> tuple[int, str]:
    """Run `arzamed slots`, and return the peak of its memory in bytes and what it wrote to stderr."""
    file = folder / "clinics.toml"
    file.write_text(
        f'[clinics.Milano]\nclient_id = "milano"\nclient_secret_env = "INVENTED_SECRET"\ntoken_url = "{server.origin}/token"\n'
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", PROGRAM, "slots", "--clinics", str(file)),
            *("--base-url", server.base_url, "--format", form),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
        check=False,
        env={
            **os.environ,
            "INVENTED_SECRET": "invented-secret",
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
        },
    )
    *_, line = done.stderr.splitlines()
    assert line.startswith("VmHWM"), done.stderr
    return int(line.split()[1]) * 1024, done.stderr


@pytest.mark.parametrize("form", ["table", "ndjson", "json", "csv"])
def test_a_bomb_does_not_fill_the_memory_of_a_command(bombs: Bombs, tmp_path: Path, form: str) -> None:
    """A list that expands to 100,000 objects from 332 bytes takes at most 8 MiB more than a list of one."""
    bombs.load(1)
    small, _ = peak(bombs, tmp_path, form)
    bombs.load(100_000)
    large, stderr = peak(bombs, tmp_path, form)
    assert large - small < 8 * MIB, stderr
