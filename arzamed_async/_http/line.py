"""One connection of the direct lane, and one exchange over it: a request out, its response in.

aiohttp opens the connection; then `Line` replaces its protocol. A response that `scan` recognises needs no parser.
Any other goes, from its first byte, to a new `ResponseHandler` of aiohttp's (see `parsed`): bytes that it has read beyond its response
never become the head of the next one.

A line is owned by one exchange, its `owner`, from `send` until the whole response has been received. Then it is idle at
once, before the caller resumes. Only the owner may close it: a caller that is cancelled at that moment does not close a
line that has a new owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._concurrency.byte_budget import ByteBudget
from .handler import DisconnectedError
from .inbound import Flow, Inbound
from .parsed import Parsed, Received
from .request_bytes import request_bytes
from .response import WholeBody
from .response_scan import RawHeaders, scan

if TYPE_CHECKING:
    from .outgoing import Outgoing

__all__ = ["Exchange", "Home", "Line"]


#: A line reads no more than this at a time where the session's budget of bytes is nearly spent.
SMALL_READ_BYTES = 16_384


class Home:
    """The owner of idle lines, with the budget of the bytes that lines receive."""

    budget: ByteBudget

    def take_back(self, line: Line) -> None:
        """Keep a line that is idle now."""
        raise NotImplementedError

    def forget(self, line: Line) -> None:
        """Drop a line whose connection is lost."""
        raise NotImplementedError


class Exchange:
    """One request and its response. The result of `future` is the response received, or the exception."""

    __slots__ = ("_inbound", "_line", "_outgoing", "_parsed", "future", "got_bytes", "leaving", "reused", "sent_at")

    def __init__(self, line: Line, future: asyncio.Future[Received | BaseException], outgoing: Outgoing) -> None:
        self.leaving = False
        self._line = line
        self._parsed: Parsed | None = None
        self._inbound: Inbound | None = None
        self.future = future
        self.got_bytes = False
        self.reused = line.reused
        self.sent_at = line.idle_since
        self._outgoing: Outgoing | None = outgoing

    @property
    def place(self) -> Any:
        """The origin of its line."""
        return self._line.place

    def drop_request(self) -> bool:
        """Drop the reference to the request, and return whether it may be repeated."""
        outgoing, self._outgoing = self._outgoing, None  # it holds the clinic's state
        return outgoing is not None and outgoing.may_repeat

    def end(self, outcome: Received | BaseException) -> None:
        """Set the outcome. A failure is a result as well: after a cancellation it is not retrieved."""
        if not self.future.done():
            self.future.set_result(outcome)

    def received(self, data: bytes) -> None:
        """Receive bytes."""
        parsed = self._parsed
        if self.leaving:
            self._line.close()
            return
        if parsed is None:
            self.got_bytes = True
            whole = scan(data)
            if whole is not None:
                status, head, body, coded = whole
                self.give_back()
                self.end((status, RawHeaders(head), WholeBody(body), not coded))
                return
            parsed = self._parsed = Parsed(self._line.loop, self, self._line.transport)
        parsed.data_received(data)

    def inbound(self, reader: Any, flow: Flow) -> Inbound:
        """Return the body that a reader receives, which counts towards the budget."""
        body = self._inbound = Inbound(reader, self._line.home.budget, flow)
        return body

    def lost(self, error: BaseException | None) -> None:
        """End the exchange: the connection is lost."""
        parsed, self._parsed = self._parsed, None
        if parsed is not None:
            parsed.connection_lost(error)
        if self._inbound is not None:
            self._inbound.lost()
        self.end(error or DisconnectedError())

    def give_back(self) -> None:
        """Release the line: the whole response has been received."""
        line = self._line
        if line.owner is self:
            line.owner = None
            line.rest()

    def give_back_soon(self) -> None:
        """Release the line in the next turn of the event loop, unless more bytes arrive before."""
        self.leaving = True
        self._line.loop.call_soon(self.give_back)

    def close(self) -> None:
        """Close the line, unless it has a new owner or none. Nobody reads the response any more."""
        if self._inbound is not None:
            self._inbound.leave()
        if self._line.owner is self and not self.leaving:
            self._line.close()


class Line(asyncio.BufferedProtocol):
    """A connection that carries one exchange at a time. aiohttp's own `connection` is held while it is open."""

    __slots__ = (
        "_budget", "_connection", "_filled", "_handler", "_small_view", "_view", "home", "idle_since", "loop", "owner",
        "place", "reused", "transport",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        home: Home,
        place: Any,
        connection: Any,
        transport: asyncio.Transport,
        view: memoryview,
    ) -> None:
        self.loop = loop
        self.place = place
        self.transport = transport
        self.owner: Exchange | None = None
        self.reused = False
        self.idle_since = loop.time()
        self._filled = False
        self.home = home
        self._budget = home.budget
        self._connection = connection
        self._handler = connection.protocol
        self._view = view
        self._small_view = view[:SMALL_READ_BYTES]
        transport.set_protocol(self)
        # uvloop chooses how it reads when it starts to.
        transport.pause_reading()
        transport.resume_reading()

    @property
    def closed(self) -> bool:
        """Whether it is idle: `Connections` reads this name, and the next one."""
        return self.owner is None

    @property
    def leaving(self) -> bool:
        """Whether it becomes idle in the next turn, unless more bytes arrive before."""
        return self.owner is not None and self.owner.leaving

    def fit(self) -> bool:
        """Return whether it is open."""
        return not self.transport.is_closing()

    def send(self, outgoing: Outgoing, target: str, common: str, headers: Mapping[str, str]) -> Exchange:
        """Send a request. It is built here, so that no other frame holds the token."""
        exchange = self.owner = Exchange(self, self.loop.create_future(), outgoing)
        try:
            self.transport.write(request_bytes(outgoing.method, target, common, headers, outgoing.body))
        except BaseException:
            self.close()
            raise
        return exchange

    def rest(self) -> None:
        """Become idle, unless a part of the request is still to be sent, or more may have been received.

        A response can come before its request is out. Over TLS a read that fills the buffer may leave bytes
        in the TLS layer, where no look at the socket shows them.
        """
        if self.transport.is_closing():
            return
        if self._filled or self.transport.get_write_buffer_size():
            self.close()
            return
        self.reused = True
        self.idle_since = self.loop.time()
        self.home.take_back(self)

    def close(self) -> None:
        """Close at once: over TLS an orderly close waits for the peer."""
        self.transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer that all lines of a loop read into; what was read is copied before the next read."""
        budget = self._budget
        return self._view if budget.used < budget.roomy_below else self._small_view

    def buffer_updated(self, nbytes: int) -> None:
        """Receive the bytes that were read."""
        if self.owner is None:
            self.close()  # there is no request they could belong to
            return
        self._filled = nbytes >= len(self._small_view) and (
            nbytes == len(self._view) or (nbytes == SMALL_READ_BYTES and nbytes == len(self.get_buffer(-1)))
        )
        self.owner.received(self._view[:nbytes].tobytes())

    def eof_received(self) -> None:
        """Let the transport close itself."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Report it to the exchange, the pool, and the connector of aiohttp."""
        owner, self.owner = self.owner, None
        self.home.forget(self)
        self._handler.connection_lost(exc)
        self._connection.close()
        if owner is not None:
            owner.lost(exc)
