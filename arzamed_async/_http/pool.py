"""The connection pool of one event loop: opened by aiohttp, bounded, and checked before each use."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import warnings
import weakref
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, cast

import aiohttp

from .._concurrency.cancel_scope import CancelScope
from .._concurrency.forks import HasFileno, lead_nowhere
from .._concurrency.semaphore import FairSemaphore
from .._concurrency.threads import Threads
from ..config import Timeouts
from .connections import Connections
from .handler import DisconnectedError, Handler, LookUpTimeoutError, require_unpromised_names
from .resolver import Resolver

__all__ = ["Pool", "close_with_loop", "connect_timeout", "given_timeout", "sockets_of"]


class Pool(aiohttp.TCPConnector):
    """Keeps connections alive, never more than `limit` open. A request holds one of its `slots`.

    aiohttp's own limit counts connections in use; idle ones, to other hosts, stay open beside them. Here `Connections`
    closes an idle one where a new one would be one too many. Each request that `expect` announces gets one connection:
    aiohttp would open a second one to resend a GET silently after a lost connection, and attempts are RetryPolicy's to
    count. The wait for a connection does not count as the server's silence: `expect_bytes` comes after it.
    """

    _left = False

    def __init__(self, limit: int, ssl_context: ssl.SSLContext | None, threads: Threads) -> None:
        self.resolver = Resolver(threads)
        self._opened: weakref.WeakSet[socket.socket] = weakref.WeakSet()  # those being connected or closed, too
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - aiohttp's
            limit=0,
            ssl=ssl_context or True,
            resolver=self.resolver,
            use_dns_cache=False,
            socket_factory=self._open_socket,
        )
        loop = asyncio.get_running_loop()
        require_unpromised_names(self, Handler(loop))
        self._factory = cast("Any", lambda: Handler(loop))
        self.slots = FairSemaphore(limit)
        self.sockets = Connections(limit, loop)
        self._senders: dict[asyncio.Task[Any] | None, CancelScope] = {}
        self._reused: dict[asyncio.Task[Any] | None, asyncio.Transport] = {}

    def expect(self, scope: CancelScope) -> None:
        """Allow one connection to the request that the task of `scope` sends next."""
        self._senders[scope.task] = scope

    def expect_no_more(self, scope: CancelScope) -> asyncio.Transport | None:
        """Withdraw what `expect` allowed, if it was not used. Returns the connection of the request if it was reused."""
        self._senders.pop(scope.task, None)
        return self._reused.pop(scope.task, None)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> aiohttp.connector.Connection:
        """Return a connection, as aiohttp does, once there is room."""
        scope = self._senders.pop(asyncio.current_task(), None)
        if scope is None:
            raise DisconnectedError
        sockets, host = self.sockets, req.connection_key
        scope.set_phase(f"connecting to {req.url.authority}")
        while True:
            if sockets.is_full():
                await sockets.make_room(host)
            sockets.start_opening()
            try:
                connection = await super().connect(req, traces, timeout)
            except BaseException as error:
                sockets.opening_failed()
                look_up = self.resolver.unfinished.pop(asyncio.current_task(), None)
                if isinstance(error, TimeoutError):  # connect_seconds
                    raise LookUpTimeoutError(look_up) if look_up else aiohttp.ConnectionTimeoutError from None
                raise
            protocol, transport = connection.protocol, connection.transport
            reused = sockets.knows(transport)
            spoiled = protocol is not None and protocol.should_close
            if sockets.claim(transport, connection, host, spoiled=spoiled):
                break
            connection.close()
        if reused and transport is not None:
            self._reused[scope.task] = transport
        scope.set_phase("")
        scope.expect_bytes()
        return connection

    def connect_for(
        self, request: aiohttp.ClientRequest, scope: CancelScope, timeout: aiohttp.ClientTimeout
    ) -> Awaitable[aiohttp.connector.Connection]:
        """Open a connection for the direct lane."""
        self.expect(scope)
        return self.connect(request, [], timeout)

    def _open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        opened = socket.socket(*address[:3])
        self._opened.add(opened)
        return opened

    def leave_process(self) -> None:
        """Leave the connections to the parent of this forked child."""
        self._left = True
        lead_nowhere(tuple(self._opened))

    def __del__(self, _warnings: Any = warnings) -> None:
        if not self._left:
            super().__del__(_warnings)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections. aiohttp no longer knows of those that are closing already."""
        self.sockets.abort_closing()
        await super().close(abort_ssl=abort_ssl)
        await self.resolver.close()


def sockets_of(connector: aiohttp.BaseConnector | None) -> list[HasFileno]:
    """Return the sockets of another connector, as far as aiohttp's names are those known here."""
    idle = [each for pairs in getattr(connector, "_conns", {}).values() for each, _ in pairs]
    protocols: list[Any] = [*idle, *getattr(connector, "_acquired", ())]
    sockets = [each.transport.get_extra_info("socket") for each in protocols if each.transport is not None]
    return [each for each in sockets if each is not None]


async def close_with_loop(client: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Close a session when it is closed itself, at the end of its event loop at the latest."""
    try:
        yield
    finally:
        await client.close()


def connect_timeout(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    """Return aiohttp's timeouts with `connect_seconds` for all that comes before a request: look-up, TCP, proxy, TLS."""
    return aiohttp.ClientTimeout(total=None, connect=_finite(timeouts.connect_seconds), ceil_threshold=math.inf)


def given_timeout(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    """Return aiohttp's timeouts for a session of the caller's: the wait for a connection of its pool is no part of them."""
    connect, read = _finite(timeouts.connect_seconds), _finite(timeouts.read_seconds)
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds
