"""What the operating system knows of a connection before the event loop does."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

__all__ = ["Closing", "unread_probe"]


class Closing:
    """How many sockets are being closed: the event loop does that in its next turn, and until then they are open."""

    __slots__ = ("_loop", "count")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.count = 0

    def add(self) -> None:
        """Count one more, until the next turn. (A loop that is closed has none.)"""
        if not self._loop.is_closed():
            self.count += 1
            self._loop.call_soon(self._closed)

    def _closed(self) -> None:
        self.count -= 1


def unread_probe(transport: asyncio.Transport) -> Callable[[], bool]:
    """Return what tells whether something has come over a connection that the loop has not read yet: bytes, or its end.

    It is good for as long as the connection is open.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or (number := connection.fileno()) < 0:
        return lambda: False
    if not hasattr(select, "poll"):  # Windows: there its select takes any number
        return lambda: bool(select.select([number], [], [], 0)[0])
    ready = select.poll()
    ready.register(number, select.POLLIN)
    return lambda: bool(ready.poll(0))
