"""What a store's copy in a forked child leaves to its parent, without a byte: connections and locked files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import weakref
from collections.abc import Iterable
from typing import Any, Protocol

__all__ = ["lead_nowhere", "leave_connections", "on_fork"]


class LeavesProcess(Protocol):
    """What has something of its parent's in a forked child."""

    def leave_process(self) -> object:
        """Leave it. What this returns is never freed: finalizers close connections and unlock files."""
        ...


_all: weakref.WeakSet[LeavesProcess] = weakref.WeakSet()
_abandoned: list[object] = []


def on_fork(each: LeavesProcess) -> None:
    """Call its `leave_process` in each forked child, for as long as it lives."""
    _all.add(each)


def _leave_parent() -> None:
    for each in tuple(_all):
        with contextlib.suppress(Exception):  # a child starts in any case
            _abandoned.append(each.leave_process())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parent)


def lead_nowhere(numbers: Iterable[int]) -> None:
    """Let these descriptors lead to a connection that has ended: what the parent has open stays as it is."""
    nowhere, peer = socket.socketpair()
    peer.close()
    with nowhere:
        for number in numbers:
            if number >= 0:
                os.dup2(nowhere.fileno(), number, inheritable=False)


class _LeftWriter:
    """In place of a connection's writer: a command that was about to be written finds the connection lost."""

    def __bool__(self) -> bool:
        return False  # redis-py warns of a writer that was not closed

    def writelines(self, _data: Iterable[bytes]) -> None:
        """Raise ConnectionError."""
        raise ConnectionError("the connection is that of the process that this one was forked from")


def leave_connections(client: Any) -> object:
    """Let a client of redis-py, in a forked child, open connections of its own. Returns the parent's."""
    nodes: list[Any] = client.get_nodes() if hasattr(client, "get_nodes") else [client.connection_pool]
    connections: list[Any] = [getattr(client, "connection", None)]
    for node in nodes:
        for name in ("_available_connections", "_in_use_connections", "_connections"):
            connections += getattr(node, name, ())
        if isinstance(getattr(node, "_lock", None), asyncio.Lock):  # a task of the parent may hold it
            node._lock = asyncio.Lock()  # noqa: SLF001 - redis-py has no other way
    left: list[object] = []
    for connection in connections:
        writer = getattr(connection, "_writer", None)
        if not writer:
            continue
        left += [connection._reader, writer]  # noqa: SLF001
        opened = writer.get_extra_info("socket")
        if opened is not None:
            lead_nowhere([opened.fileno()])
        connection._reader, connection._writer = None, _LeftWriter()  # noqa: SLF001 - so it connects before its next use
    return left
