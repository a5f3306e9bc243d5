"""What several test modules need: a server without an HTTP library, and small helpers."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest

from arzamed_async import ArzamedSession, ClinicCredentials

SECRET = "invented-secret-canary-7f3a"
TOKEN = "invented.token.canary-91c2"

Handler = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Let everything go on until the condition holds; a TimeoutError if it never does."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


def take_ordinary_lane(patch: pytest.MonkeyPatch) -> None:
    """Wrap aiohttp's ClientSession._request, as tracers do: requests go through it from then on."""
    original: Any = aiohttp.ClientSession._request

    async def request(self: aiohttp.ClientSession, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await original(self, *args, **options)
        return response

    patch.setattr(aiohttp.ClientSession, "_request", request)


def unfit(session: ArzamedSession) -> Callable[[], bool]:
    """Return what tells whether the one idle connection of a session is known to be unfit for another request."""
    transport: Any = session._engine.transport
    if transport.lane == "direct":
        (line,) = transport._direct.idle_lines()
        is_closing: Callable[[], bool] = line.transport.is_closing
        return is_closing
    ((idle, _),) = next(iter(transport.pool._conns.values()))
    return lambda: idle.should_close is True


class Request:
    """One request as it came over the wire."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.body = body

    @property
    def is_token(self) -> bool:
        """Whether it asks for a token."""
        return self.target.startswith("/token")


def answer(status: int, body: bytes = b"", headers: str = "") -> bytes:
    """Return an HTTP/1.1 answer, complete with its length."""
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def json_answer(status: int, value: Any, headers: str = "") -> bytes:
    """Return an answer whose body is JSON."""
    return answer(status, json.dumps(value).encode(), headers)


def token_answer(token: str = TOKEN, **fields: Any) -> bytes:
    """Return a token endpoint's good answer."""
    return json_answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600, **fields})


DOCTORS = [{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(3)]


class RawServer:
    """A scripted server on loopback: `handler(request, writer)` answers each request; every request is kept."""

    def __init__(self, handler: Handler | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.handler = handler or self.good
        self.tls = tls
        self.requests: list[Request] = []
        self.connections = 0
        self.open_connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def good(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Answer as Arzamed does."""
        writer.write(token_answer() if request.is_token else json_answer(200, DOCTORS))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # asyncio's streams keep a future of how the connection ended, and log it as unheard if it is collected first.
        closed: asyncio.Future[None] = writer._protocol._get_close_waiter(writer)  # type: ignore[attr-defined]
        closed.add_done_callback(lambda closed: closed.cancelled() or closed.exception())
        self.connections += 1
        self.open_connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = Request(head, b"").headers.get("content-length", "0")
                request = Request(head[:-4], await reader.readexactly(int(length)))
                self.requests.append(request)
                await self.handler(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except RuntimeError:  # uvloop's, for a write after the connection was lost
            if not writer.is_closing():
                raise
        finally:
            self._tasks.discard(task)
            self.open_connections -= 1
            writer.close()

    @property
    def origin(self) -> str:
        """The scheme, address and port."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The base URL of the API."""
        return f"{self.origin}/api/v1"

    @property
    def token_requests(self) -> int:
        """How many token requests have come."""
        return sum(request.is_token for request in self.requests)

    @property
    def api_requests(self) -> int:
        """How many other requests have come."""
        return len(self.requests) - self.token_requests

    def credentials(self, name: str = "Milano", secret: str = SECRET) -> ClinicCredentials:
        """Return credentials for a clinic of this server."""
        return ClinicCredentials(f"id-{name}", secret, f"{self.origin}/token/{name}", name=name)
