"""What a forked child does with what it shares with its parent: sockets, and the event loop's poll object and wake-up pipe.

A child has copies of all descriptors, but what these lead to is one and the same. To close a connection would change the
poll object in which the parent waits, and over TLS it would send bytes. So each descriptor is led elsewhere, which the
parent does not see, and only then anything else happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import selectors
import socket
from collections.abc import Iterable
from typing import Any, Protocol

__all__ = ["HasFileno", "lead_nowhere", "own_poll"]


class HasFileno(Protocol):
    """A socket, or asyncio's view of one."""

    def fileno(self) -> int:
        """Return its descriptor, -1 once it is closed."""
        ...


def lead_nowhere(sockets: Iterable[HasFileno]) -> None:
    """Let the descriptors of a forked child lead to a connection that has ended. The parent's sockets notice nothing."""
    numbers = {number for each in sockets if (number := each.fileno()) >= 0}
    if not numbers:
        return
    try:
        ended, peer = socket.socketpair()
    except OSError:  # no descriptor is free: one of these is
        os.close(next(iter(numbers)))
        nowhere = os.open(os.devnull, os.O_RDONLY)  # it has that number
    else:
        peer.close()
        nowhere = ended.detach()
    for number in numbers - {nowhere}:
        os.dup2(nowhere, number, inheritable=False)
    if nowhere not in numbers:
        os.close(nowhere)


def own_poll(loop: asyncio.AbstractEventLoop) -> bool:
    """Give a forked child's copy of an event loop a poll object and a wake-up pipe of its own.

    Both are the parent's as well: the end of the loop in the child, or a connection that it closes, would let the parent
    wait for ever, and each would be woken for the other. Connections are left out: they are the parent's. This concerns
    asyncio's own loop on epoll; for another one, False is returned, and the child must not run it.
    """
    selector: Any = getattr(loop, "_selector", None)
    if not hasattr(selectors, "EpollSelector") or not isinstance(selector, selectors.EpollSelector) or loop.is_closed():
        return False
    with select.epoll() as own:
        os.dup2(own.fileno(), selector.fileno(), inheritable=False)
    inside, outside = getattr(loop, "_ssock", None), getattr(loop, "_csock", None)
    if inside is not None and outside is not None:
        for pair, number in zip(socket.socketpair(), (inside.fileno(), outside.fileno()), strict=True):
            with pair:
                pair.setblocking(False)
                os.dup2(pair.fileno(), number, inheritable=False)
    connections: Any = getattr(loop, "_transports", ())
    for key in tuple(selector.get_map().values()):
        if key.fd not in connections:
            selector.unregister(key.fileobj)
            with contextlib.suppress(OSError):  # a descriptor that is closed
                selector.register(key.fileobj, key.events, key.data)
    return True
