"""A server without an HTTP library that misbehaves by script, and counts what reaches it.

A `Side` is one listening port: a token endpoint, or the API. Its fault is a coroutine function of the `Wire`, the
connection as the server has it, and strikes when a connection is accepted or when a request has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Self, cast

from support import DOCTORS, TOKEN, Request

__all__ = ["DOCTORS_JSON", "FIRST_BYTES", "RECORD", "TOKEN_JSON", "Act", "Side", "Wire"]

RECORD = "https://img.invented.example/canary-5b1e.png"  # stands for what a patient would not have in a log
DOCTORS_JSON = json.dumps([{**doctor, "profileImage": RECORD} for doctor in DOCTORS]).encode()
TOKEN_JSON = json.dumps({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}).encode()
#: So much of a list is its first record and the comma after it.
FIRST_BYTES = DOCTORS_JSON.index(b"}, {") + 2

Act = Callable[["Wire"], Awaitable[None]]


class Wire:
    """One connection, at the server's end, with the request that has come over it last."""

    request: Request

    def __init__(self, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.side = side
        self.reader = reader
        self.writer = writer

    @property
    def body(self) -> bytes:
        """The body of a good answer to the request."""
        return self.side.body

    @property
    def parts(self) -> tuple[bytes, bytes]:
        """That body in two: up to the place where a fault in the midst of it strikes, and the rest.

        The place is within the first record; for a stream that is to break later, behind it.
        """
        cut = FIRST_BYTES if self.side.late else 20
        return self.body[:cut], self.body[cut:]

    async def send(self, *pieces: bytes) -> None:
        """Send each of these, and give the client the time to take it."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.001)

    async def head(self, status: str = "200 X", *headers: str, length: int | None = None) -> None:
        """Send the head of an answer."""
        lines = [f"HTTP/1.1 {status}", *headers, *([] if length is None else [f"Content-Length: {length}"])]
        await self.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))

    async def answer(self, body: bytes | None = None, *headers: str, status: str = "200 X") -> None:
        """Send a whole answer: a good one, where no body is given."""
        body = self.body if body is None else body
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        await self.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + body)

    async def begin(self, part: bytes | None = None) -> None:
        """Send a body's first part; where a stream is to break later, wait until its first record has been taken."""
        await self.send(self.parts[0] if part is None else part)
        if self.side.late:
            await self.side.taken.wait()

    async def drip(self, data: bytes) -> None:
        """Send one byte a second, as long as the client is there."""
        for byte in data:
            if self.reader.at_eof():
                return
            await self.send(bytes([byte]))
            await asyncio.sleep(1)

    async def silence(self) -> None:
        """Say no more, until the client has gone."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self.reader.read(65_536):
                pass

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection off with an RST."""
        connection = self.writer.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def speak_tls(self, context: ssl.SSLContext) -> None:
        """Agree on TLS, or fail to."""
        await self.writer.start_tls(context)


class Side:
    """One port on loopback, that answers with `body` as long as no fault strikes."""

    def __init__(self, body: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.body = body
        self.tls = tls
        self.host = "127.0.0.1"
        self.requests: list[Request] = []
        self.connections = self.open = self.struck = self.busy = 0
        self.late = False
        self.taken = asyncio.Event()
        self.elsewhere: Side | None = None  # where its redirects point
        self.start: Callable[[Side], Awaitable[None]] | None = None  # what it does instead of listening
        self._act: Act | None = None
        self._times = 0.0
        self._at_once = False
        self._wanted = ""
        self._tasks: set[asyncio.Task[None]] = set()
        # (With its protocol named, or asyncio does not set TCP_NODELAY, and what is sent waits for acknowledgements.)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._server: asyncio.Server | None = None
        self._fillers: list[socket.socket] = []
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    # What the matrix asks.

    def arm(self, act: Act, *, times: float = math.inf, at_once: bool = False, wanted: str = "") -> None:
        """Let a fault strike so often: when a connection is accepted, or at requests whose Authorization holds `wanted`."""
        self._act, self._times, self._at_once, self._wanted = act, times, at_once, wanted

    def forget(self) -> None:
        """Begin to count anew."""
        self.requests.clear()
        self.connections = self.struck = 0

    async def recover(self) -> None:
        """Be good from now on."""
        self._act = None
        cast("Any", asyncio.get_running_loop()).hosts[self.host] = "127.0.0.1"
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        if self._server is None:
            await self.listen()

    def now(self) -> float:
        """Return the time by the session's clock."""
        return asyncio.get_running_loop().time()

    def other_port(self) -> int:
        """Return the port of a server that nobody should ever ask."""
        assert self.elsewhere is not None
        return self.elsewhere.port

    # Before a connection: what a port or a name may do.

    async def listen(self) -> None:
        """Accept connections."""
        # The port stays ours by the socket that was bound, also while nobody listens.
        self._server = await asyncio.start_server(self._serve, sock=self._socket.dup())

    async def refuse(self) -> None:
        """Accept none: where nobody listens, connections are refused."""

    async def overflow(self) -> None:
        """Accept none: the system's queue is full, and who connects is not answered."""
        self._socket.listen(0)
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    async def lose_its_name(self) -> None:
        """Be known by a name that is not found."""
        self.host = f"lost-{self.port}.invented.example"

    async def __aenter__(self) -> Self:
        await (self.listen() if self.start is None else self.start(self))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._socket.close()
        for filler in self._fillers:
            filler.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # A connection.

    def _strikes(self, request: Request | None) -> Act | None:
        wanted = self._at_once if request is None else self._wanted in request.headers.get("authorization", "")
        if self._act is None or not wanted or self._at_once != (request is None) or self.struck >= self._times:
            return None
        self.struck += 1
        return self._act

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            yield
        finally:
            self._tasks.discard(task)
            self.open -= 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(self, reader, writer)
        with self._counted():
            try:
                await self._converse(wire)
            except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
                pass
            finally:
                writer.close()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()

    async def _act_on(self, wire: Wire, act: Act | None) -> None:
        self.busy += 1
        try:
            await (wire.answer() if act is None else act(wire))
        finally:
            self.busy -= 1

    async def _converse(self, wire: Wire) -> None:
        act = self._strikes(None)
        if act is not None:
            return await self._act_on(wire, act)
        if self.tls is not None:
            await wire.speak_tls(self.tls)
        while not wire.writer.is_closing():
            head = await wire.reader.readuntil(b"\r\n\r\n")
            length = int(Request(head, b"").headers.get("content-length", "0"))
            wire.request = Request(head[:-4], await wire.reader.readexactly(length))
            self.requests.append(wire.request)
            await self._act_on(wire, self._strikes(wire.request))
