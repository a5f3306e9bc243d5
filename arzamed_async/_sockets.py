"""What the operating system knows of a connection before the event loop does."""

from __future__ import annotations

import asyncio
import select

__all__ = ["has_unread"]


def has_unread(transport: asyncio.Transport) -> bool:
    """Tell whether something has come over a connection that the loop has not read yet: bytes, or its end."""
    connection = transport.get_extra_info("socket")
    if connection is None or (number := connection.fileno()) < 0:
        return False
    if not hasattr(select, "poll"):  # Windows: there its select takes any number
        return bool(select.select([number], [], [], 0)[0])
    ready = select.poll()
    ready.register(number, select.POLLIN)
    return bool(ready.poll(0))
