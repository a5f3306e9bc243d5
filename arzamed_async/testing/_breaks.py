"""The faults that leave a request without a response."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

__all__ = ["BREAKS"]


async def _hang(request: web.BaseRequest) -> None:
    """Wait until the client disconnects, which cancels this."""
    await asyncio.get_running_loop().create_future()


async def _reset(request: web.BaseRequest) -> None:
    if request.transport is not None:
        # SO_LINGER of zero: unsent bytes are dropped, and the client receives a reset.
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    await _hang(request)


async def _garbage(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.write(b"this is no HTTP\r\n\r\n")
        request.transport.close()
    await _hang(request)


#: By their word in a script.
BREAKS: dict[object, Callable[[web.BaseRequest], Awaitable[None]]] = {
    "garbage": _garbage,
    "reset": _reset,
    "hang": _hang,
}
