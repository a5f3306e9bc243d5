"""gunicorn with --preload: it forks its workers after a session was used, and again at each reload."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.fork_servers import check, environment
from support.forks import RUNS, Named

WORKERS = 3


@asynccontextmanager
async def gunicorn(server: Named, listener: socket.socket) -> AsyncIterator[Any]:
    """Run gunicorn on a socket; it has to end well, and in silence."""
    warnings = ("-W", "error", "-W", "ignore::ResourceWarning", "-W", "ignore:.*fork:DeprecationWarning")
    program = await asyncio.create_subprocess_exec(
        sys.executable, *warnings, "-m", "gunicorn", "preloaded:asgi", "--preload",
        "--bind", f"fd://{listener.fileno()}", "--workers", str(WORKERS), "--worker-class", "uvicorn_worker.UvicornWorker", "--log-level", "error",
        stdout=PIPE, stderr=PIPE, env=environment(server), pass_fds=[listener.fileno()],
    )  # fmt: skip
    try:
        yield program
        program.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(program.communicate(), 60)
        assert errors.decode() == ""
        assert program.returncode == 0
    finally:
        if program.returncode is None:
            program.send_signal(signal.SIGTERM)  # it ends its workers
            await program.communicate()


async def visit(port: int) -> list[dict[str, Any]]:
    """Let one of the workers read; return its report, or nothing from one that a reload ends: it drops what it has not begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b""
    with suppress(ConnectionError):
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return [json.loads(body)] if body else []


async def visit_workers(port: int, known: set[int]) -> list[dict[str, Any]]:
    """Visit a server until all its workers have responded that were not known before."""
    reports: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while len({report["process"] for report in reports} - known) < WORKERS:
            for found in await asyncio.gather(*(visit(port) for _ in range(3 * WORKERS))):
                reports += found
    return reports


@pytest.mark.asyncio
async def test_preloaded_workers_read_their_own_records_with_the_tokens_of_the_master(
    tmp_path: Path,
) -> None:
    """Workers that read at once, and those of each reload: no foreign record, no lost call, no token requested again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with Named(tmp_path) as server, gunicorn(server, listener) as program:
            seen: set[int] = set()
            reports: list[dict[str, Any]] = []
            while len(seen) < max(RUNS, 2 * WORKERS):
                if seen:
                    program.send_signal(signal.SIGHUP)
                reports += await visit_workers(port, seen)
                seen = {report["process"] for report in reports}
            assert check(reports, server) == seen
            assert os.getpid() not in seen
