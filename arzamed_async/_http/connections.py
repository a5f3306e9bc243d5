"""The sockets of one connection pool: how many are open, which one is closed for another, and which may be reused.

It knows asyncio's transports and no HTTP library.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Hashable
from typing import Protocol

__all__ = ["Connections"]


class User(Protocol):
    """What uses a connection: for one request, or for as long as it likes. One that is `leaving` becomes idle in a turn."""

    @property
    def closed(self) -> bool:
        """Whether it has ended, so that the connection is idle."""
        ...


class _Connection:
    """What is known of an open connection."""

    __slots__ = ("has_unread_bytes", "host", "user")

    def __init__(self, transport: asyncio.Transport, user: User, host: Hashable) -> None:
        self.user = user
        self.host = host
        self.has_unread_bytes = _unread_probe(transport)


class Connections:
    """Keeps the number of open sockets at or below `limit`. Those being opened or closed count as open.

    Before a connection is opened: `make_room` if the pool `is_full`, then `start_opening`. Afterwards: `claim`, or
    `opening_failed`.
    """

    __slots__ = ("_closing", "_connections", "_limit", "_loop", "_opening")

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self._limit = limit
        self._loop = loop
        self._connections: dict[asyncio.Transport, _Connection] = {}  # least recently used first
        self._opening = 0
        self._closing = 0  # sockets that the event loop closes in its next turn

    def is_full(self) -> bool:
        """Return whether one more connection would be one too many."""
        return len(self._connections) + self._opening + self._closing >= self._limit

    async def make_room(self, host: Hashable) -> bool:
        """Wait until a connection may be opened, or an idle one to the same host can be reused.

        Closes the idle connection to another host that was used least recently. Returns False if nothing can be closed.
        """
        for transport, each in self._connections.items():  # most often the first: it is the least recently used
            if each.user.closed and each.host == host and not transport.is_closing():
                return True
        while True:
            self.abort_closing()
            if not self.is_full():
                return True
            idle = {transport: each.host for transport, each in self._connections.items() if each.user.closed}
            if host in idle.values():
                return True
            if not (self._closing or self._is_leaving()):
                if not idle:
                    return False
                next(iter(idle)).abort()
            await asyncio.sleep(0)

    def _is_leaving(self) -> bool:
        """Return whether a connection becomes idle in the next turn. (aiohttp's are idle at once, or closed.)"""
        return any(getattr(each.user, "leaving", False) for each in self._connections.values())

    def start_opening(self) -> None:
        """Count one more, until `claim` or `opening_failed`."""
        self._opening += 1

    def opening_failed(self) -> None:
        """Count the socket that asyncio may have opened, and closes now."""
        self._opening -= 1
        self._count_closing()

    def claim(self, transport: asyncio.Transport | None, user: User, host: Hashable, *, spoiled: bool) -> bool:
        """Record who uses a connection from now on. Returns False if it must not be used.

        That is so for a reused connection that is `spoiled`, or over which bytes arrived while it was idle: they would
        pass for the response to the next request. `transport` is None if the connection has been lost already.
        """
        self._opening -= 1
        if transport is None:
            return True
        known = self._connections.pop(transport, None)
        if known is None:
            self._connections[transport] = _Connection(transport, user, host)
            return True
        known.user = user
        self._connections[transport] = known
        return not (spoiled or known.has_unread_bytes())

    def hand_over(self, transport: asyncio.Transport, user: User, host: Hashable) -> None:
        """Let a user have a claimed connection for as long as it is open: under this host, aiohttp does not reuse it."""
        known = self._connections[transport]
        known.user, known.host = user, host

    def reuse(self, transport: asyncio.Transport) -> bool:
        """Record that its user uses it again. Returns False if it must not be used, as `claim` does."""
        known = self._connections.pop(transport, None)
        if known is None:
            return False
        self._connections[transport] = known
        return not known.has_unread_bytes()

    def users(self) -> list[User]:
        """Return what uses each connection, or has used it last."""
        return [each.user for each in self._connections.values()]

    def knows(self, transport: asyncio.Transport | None) -> bool:
        """Return whether a connection has been used before."""
        return transport in self._connections

    def abort_idle_before(self, transport: asyncio.Transport) -> None:
        """Close the idle connections to the host of this one that have not been used since it was.

        The direct lane knows for how long its own have been idle, and closes fewer; aiohttp does not report it.
        """
        failed = self._connections.get(transport)
        if failed is None:
            return
        for other, each in self._connections.items():
            if other is transport:
                break
            if each.user.closed and each.host == failed.host:
                other.abort()

    def open_count(self) -> int:
        """Return how many connections are open."""
        self.abort_closing()
        return len(self._connections)

    def abort_closing(self) -> None:
        """Close the sockets of connections that are closing.

        A TLS connection closes when the other side confirms it, after up to half a minute, and keeps its socket open.
        """
        for transport in [each for each in self._connections if each.is_closing()]:
            transport.abort()
            del self._connections[transport]
            self._count_closing()

    def _count_closing(self) -> None:
        if not self._loop.is_closed():  # a closed loop has no next turn
            self._closing += 1
            self._loop.call_soon(self._closed)

    def _closed(self) -> None:
        self._closing -= 1


def _unread_probe(transport: asyncio.Transport) -> Callable[[], bool]:
    """Return a callable that reports whether the socket holds data, or its end, that the event loop has not read yet.

    It works for as long as the connection is open.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or (number := connection.fileno()) < 0:
        return lambda: False
    if not hasattr(select, "poll"):  # Windows: there its select takes any number
        return lambda: bool(select.select([number], [], [], 0)[0])
    ready = select.poll()
    ready.register(number, select.POLLIN)
    return lambda: bool(ready.poll(0))
