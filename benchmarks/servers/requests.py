"""The server of the request path's benchmark, in its own process and on its own core: fixed bytes for every client.

The response to a POST is a token, to anything else the same 20 doctors. Only the end of the head and the length of
a body are parsed, so that the client is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from servers.clinics import DOCTORS, GOOD, TOKEN_BYTES, response

__all__ = ["DOCTORS", "TOKEN", "request_server"]

TOKEN = "invented." + "x" * (TOKEN_BYTES - 9)
_GRANT = response(200, b'{"access_token":"%b","token_type":"Bearer","expires_in":3600}' % TOKEN.encode())
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET ") and not self.buffer and data.find(b"\r\n\r\n") == len(data) - 4:
            self.transport.write(GOOD)
            return
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.buffer, 0, end + 2)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < total:
                return
            self.transport.write(_GRANT if self.buffer.startswith(b"POST ") else GOOD)
            self.buffer = self.buffer[total:]


async def _main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the starter is gone


@contextlib.contextmanager
def request_server(core: int | None = None) -> Iterator[str]:
    """Start the server, on that core if one is given; give its origin; stop it by its process id."""
    with subprocess.Popen(
        [sys.executable, "-m", "servers.requests"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    asyncio.run(_main())
