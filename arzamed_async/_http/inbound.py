"""A body that is still arriving: what is received and not yet used counts towards the session's budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from .._concurrency.byte_budget import Account, ByteBudget
from .._concurrency.cancel_scope import CancelScope

__all__ = ["WAITING_FOR_ROOM", "ConnectionFlow", "Flow", "Inbound"]

#: A Content-Length with more digits is not read as a number: no limit is that large.
LENGTH_DIGITS = 18
WAITING_FOR_ROOM = "waiting for room in the session's buffers (Limits.buffered_bytes)"


class Flow(Protocol):
    """What can pause the reading from a connection."""

    def arz_pause(self) -> None:
        """Read no more from the connection."""
        ...

    def arz_resume(self) -> None:
        """Read on."""
        ...


class ConnectionFlow:
    """The Flow of a response of aiohttp's own."""

    __slots__ = ("_paused", "_response")

    def __init__(self, response: Any) -> None:
        self._response = response
        self._paused = False

    def _protocol(self) -> Any:
        connection = getattr(self._response, "connection", None)  # of a recorded response there is none
        protocol = None if connection is None else connection.protocol
        return protocol if protocol is not None and protocol.connected else None

    def arz_pause(self) -> None:
        """Read no more: aiohttp's read timeout stands still, too."""
        protocol = self._protocol()
        if protocol is not None:
            self._paused = True
            protocol.pause_reading()

    def arz_resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            protocol = self._protocol()
            if protocol is not None:
                protocol.resume_reading()


class Inbound:
    """An aiohttp.StreamReader as a BodyStream. `flow` pauses its connection while there is no room."""

    __slots__ = ("_account", "_flow", "_free_bytes", "_kept", "_left", "_reader", "_taken")

    def __init__(self, reader: Any, budget: ByteBudget, flow: Flow) -> None:
        self._reader = reader
        self._account = Account(budget)
        self._free_bytes = budget.free_bytes
        self._flow = flow
        self._taken = 0  # bytes read out of the reader
        self._kept = 0  # what is left of them with the caller, when it last waited
        self._left = False

    @property
    def total_bytes(self) -> int:
        """The bytes received so far."""
        return int(getattr(self._reader, "total_bytes", 0))

    def read_nowait(self) -> bytes:
        """Return the bytes received, which may be none."""
        data: bytes = self._reader.read_nowait()
        self._taken += len(data)
        return data

    async def readany(self) -> bytes:
        """Return the bytes received, or wait for some; empty at the end."""
        data: bytes = await self._reader.readany()
        self._taken += len(data)
        return data

    def at_eof(self) -> bool:
        """Return whether the whole body has been received and read."""
        return bool(self._reader.at_eof())

    def is_eof(self) -> bool:
        """Return whether the whole body has been received."""
        return bool(self._reader.is_eof())

    def _held(self) -> int:
        return self._kept + int(getattr(self._reader, "total_bytes", self._taken)) - self._taken

    def arrived(self) -> None:
        """Count the bytes that have just been received, and pause the connection if there is no room for more."""
        if self._left or (held := self._held()) <= self._free_bytes:
            return
        self._account.hold(held)
        if not self._account.fits():
            self._flow.arz_pause()

    async def room(self, kept: int, most: int, scope: CancelScope, headers: Mapping[str, str]) -> None:
        """Wait for room for the next bytes: all that were received are read, and the caller has `kept` some of them.

        It comes to keep `most`, or the whole body if that is less.
        """
        account = self._account
        self._kept = kept
        account.hold(kept)
        if not account.fits():
            self._flow.arz_pause()
            phase = scope.phase
            scope.set_phase(WAITING_FOR_ROOM)
            length = "" if "Content-Encoding" in headers else headers.get("Content-Length", "")
            await account.wait(min(most, int(length)) if length.isdecimal() and len(length) <= LENGTH_DIGITS else most)
            scope.set_phase(phase)
        account.expect()
        self._flow.arz_resume()

    def delivered(self, kept: int) -> None:
        """Count what is `kept`, and return a turn: records were delivered, and their reader may take its time."""
        account, self._kept = self._account, kept
        if account.over or kept > self._free_bytes:
            account.hold(self._held())
            account.end_turn()

    def lost(self) -> None:
        """End a wait for room: the connection is lost, which the next read reports."""
        self._account.wake()

    def leave(self) -> None:
        """Release all of it: nobody reads any more."""
        self._left = True
        self._account.wake()
        self._account.hold(0)
