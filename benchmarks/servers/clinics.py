"""The server of the fan-out benchmark, in its own process: a token endpoint for each clinic, and one API.

A clinic's kind is part of its token's path and of its token: `good`; `hang` (its API never responds), `refuse`
(its token endpoint responds with 401), `once` (its API responds with 503 to the first read).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from urllib.request import urlopen

from servers.process import serve_until_the_starter_ends, server_process

__all__ = ["DOCTORS", "GOOD", "TOKEN_BYTES", "Server", "clinics_server", "response"]

DOCTORS = 20
#: As long as the tokens of hosted identity services are.
TOKEN_BYTES = 1000
_LIST = json.dumps(
    [
        {"name": f"Dr. Inventata Numero {n}", "profileImage": f"https://images.invented.example/{n:06}.png"}
        for n in range(DOCTORS)
    ],
    separators=(",", ":"),
).encode()


def response(status: int, body: bytes) -> bytes:
    """Return an HTTP/1.1 response with its length."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


GOOD = response(200, _LIST)
_BUSY = response(503, b'{"error":"busy"}')
_REFUSED = response(401, b'{"error":"invalid_client"}')
_TOKEN_PATH = re.compile(rb"POST /token/(\w+)/(\d+) ")
_BEARER = re.compile(rb"(?i)authorization: bearer (\w+)-(\d+)-")
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


class _State:
    def __init__(self) -> None:
        self.latency = 0.0
        self.reset()
        self.open = 0

    def reset(self) -> None:
        self.tokens: Counter[bytes] = Counter()
        self.reads: Counter[bytes] = Counter()
        self.peak_open = 0

    def counts(self) -> bytes:
        kinds: dict[str, list[int]] = {}
        for key, count in self.tokens.items():
            kinds.setdefault(key.split(b"-")[0].decode(), []).append(count)
        return json.dumps(
            {
                "open": self.open - 1,  # without this request
                "peak_open": self.peak_open,
                "tokens": {kind: [min(counts), max(counts), len(counts)] for kind, counts in kinds.items()},
                "reads": sum(self.reads.values()),
            }
        ).encode()


_state = _State()


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.buffer = b""
        _state.open += 1
        _state.peak_open = max(_state.peak_open, _state.open)

    def connection_lost(self, exc: Exception | None) -> None:
        _state.open -= 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[: end + 4]
            length = _LENGTH.search(head)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < total:
                return
            self.buffer = self.buffer[total:]
            reply, prompt = self.reply(head)
            if reply is None:
                continue
            if prompt or not _state.latency:
                self.transport.write(reply)
            else:
                asyncio.get_running_loop().call_later(_state.latency, self.send, reply)

    def send(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(reply)

    def reply(self, head: bytes) -> tuple[bytes | None, bool]:
        asked = _TOKEN_PATH.match(head)
        if asked:
            kind, number = asked.groups()
            key = kind + b"-" + number
            _state.tokens[key] += 1
            if kind == b"refuse":
                return _REFUSED, False
            token = (key + b"-").ljust(TOKEN_BYTES, b"x").decode()
            return response(
                200, b'{"access_token":"%b","token_type":"Bearer","expires_in":3600}' % token.encode()
            ), False
        bearer = _BEARER.search(head)
        if bearer:
            kind, number = bearer.groups()
            key = kind + b"-" + number
            _state.reads[key] += 1
            if kind == b"hang":
                return None, False
            if kind == b"once" and _state.reads[key] == 1:
                return _BUSY, False
            return GOOD, False
        return self.control(head.split(b" ", 2)[1]), True

    def control(self, path: bytes) -> bytes:
        if path.startswith(b"/latency/"):
            _state.latency = float(path.rpartition(b"/")[2])
        elif path == b"/reset":
            _state.reset()
        return response(200, _state.counts())


class Server:
    """What the benchmark knows of its server."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.base_url = f"{self.origin}/api/v1"

    def token_url(self, kind: str, number: int) -> str:
        return f"{self.origin}/token/{kind}/{number}"

    def ask(self, path: str) -> dict[str, object]:
        with urlopen(f"{self.origin}/{path}") as response:
            return json.load(response)

    def reset(self, latency: float = 0.0) -> None:
        self.ask(f"latency/{latency}")
        self.ask("reset")

    def counts(self) -> dict[str, object]:
        return self.ask("counts")


@contextlib.contextmanager
def clinics_server(core: int | None = None) -> Iterator[Server]:
    """Start the server, on that core if one is given; stop it by its process id."""
    with server_process("servers.clinics", core=core) as port:
        yield Server(port)


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    await serve_until_the_starter_ends(server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    asyncio.run(_main())
