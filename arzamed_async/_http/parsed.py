"""aiohttp's parser of one response of the direct lane: for those that `scan` does not recognise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

from .handler import EMPTY_PAYLOAD, HEADER_BYTES, MOST_HEADERS, Handler
from .inbound import Flow, Inbound
from .response import BodyStream, WholeBody

__all__ = ["Parsed", "Received", "Receiver"]

#: A response: status, headers, body, and whether the body is known to have no transfer or content coding.
Received = tuple[int, Mapping[str, str], BodyStream, bool]


class Receiver(Protocol):
    """The exchange that a response belongs to."""

    def inbound(self, reader: Any, flow: Flow) -> Inbound:
        """Return the body that a reader receives."""
        ...

    def end(self, outcome: Received | BaseException) -> None:
        """Set the outcome."""
        ...

    def give_back(self) -> None:
        """Release the line: the whole response has been received."""
        ...

    def give_back_soon(self) -> None:
        """Release the line in the next turn of the event loop, unless more bytes arrive before."""
        ...

    def close(self) -> None:
        """Close the line, unless it has a new owner or none."""
        ...


class Parsed(Handler):
    """Reads one response for one exchange."""

    def __init__(self, loop: asyncio.AbstractEventLoop, exchange: Receiver, transport: asyncio.Transport) -> None:
        super().__init__(loop)
        self.arz_exchange: Receiver | None = exchange
        self.arz_body: Inbound | WholeBody | None = None
        self.arz_more = self.arz_paused = False
        self.connection_made(transport)
        self.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            max_headers=MOST_HEADERS,
        )

    def feed_data(self, data: tuple[Any, Any], size: int = 0) -> None:
        """Receive the head of a response, and its body, still arriving. A second head makes the line unfit for reuse."""
        message, body = data
        if self.arz_body is not None:
            self.arz_more = True
        elif message.code >= 200 or message.code == 101:
            self.arz_has_head, self.arz_counted = True, 0
            exchange = self.arz_exchange
            if exchange is None:
                return
            self.arz_body = WholeBody(b"") if body is EMPTY_PAYLOAD else exchange.inbound(body, self)
            exchange.end((message.code, message.headers, self.arz_body, False))

    def set_exception(self, exc: BaseException, *args: Any, **options: Any) -> None:
        """Record a failure; before there is a head, it is the outcome of the exchange."""
        super().set_exception(exc, *args, **options)
        if self.arz_body is None and self.arz_exchange is not None:
            self.arz_exchange.end(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes, and release the line at the end of the response. (aiohttp calls this with b"" as well.)"""
        exchange = self.arz_exchange
        if exchange is None:
            return
        super().data_received(data)
        if self.arz_exchange is not exchange:
            return
        if self.exception() is not None:
            exchange.close()
        elif (body := self.arz_body) is not None:
            if not isinstance(body, Inbound) or body.is_eof():
                self.arz_leave(exchange, at_once=bool(data))
            else:
                body.arrived()

    def resume_reading(self, *args: Any, **options: Any) -> None:
        """Read on, which aiohttp does where its own buffer is empty enough; but not while there is no room."""
        super().resume_reading(*args, **options)
        if self.arz_paused:
            self.arz_pause()

    def arz_pause(self) -> None:
        """Leave further bytes in the socket: see Flow."""
        self.arz_paused = True
        if self.transport is not None:
            with contextlib.suppress(RuntimeError):  # uvloop, as below
                self.transport.pause_reading()

    def arz_resume(self) -> None:
        """Read on: see Flow. aiohttp's own buffer is empty now."""
        if self.arz_paused:
            self.arz_paused = False
            if self.transport is not None:
                with contextlib.suppress(RuntimeError):
                    self.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail what is incomplete."""
        super().connection_lost(exc)
        self.arz_body = self.arz_exchange = None  # leave no cycle

    def arz_leave(self, exchange: Receiver, *, at_once: bool) -> None:
        """Release the line: for reuse if the response was the only thing received.

        If the end of the response was in what the parser held back while reading was paused, TLS may hold more, which
        the event loop delivers in its next turn: the line is released after that.
        """
        spoiled = self.arz_more or self.should_close
        if not spoiled:
            try:
                spoiled = self._parser is None or self._parser.feed_eof() is not None  # part of another head
            except Exception:  # noqa: BLE001 - the same
                spoiled = True
        transport, self.transport = self.transport, None  # from here on another exchange may own it
        self._parser = self._payload = self.arz_body = self.arz_exchange = None  # leave no cycle
        if spoiled or transport is None:
            exchange.close()
            return
        with contextlib.suppress(RuntimeError):  # uvloop raises it where the connection has been closed meanwhile
            transport.resume_reading()
        if at_once:
            exchange.give_back()
        else:
            exchange.give_back_soon()
