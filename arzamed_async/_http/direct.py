"""The direct lane: own requests over connections that aiohttp opens.

aiohttp's request and response objects are most of the cost of a small call. Here a request is one write and a response
one read; an unusual response is left to aiohttp's parser (see `line`). The line that became idle last is used first.
If a reused line fails before the first byte of its response, all lines that have been idle as long are closed: a
middlebox that dropped one connection has most likely dropped the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from .._concurrency.cancel_scope import CancelScope
from ..config import Timeouts
from ..errors import TransportError
from .handler import DisconnectedError, NotHttpError
from .line import Exchange, Home, Line
from .pool import Pool, connect_timeout
from .request_bytes import common_part, split_url, target_at
from .response import HttpResponse, not_final, read_timed_out

if TYPE_CHECKING:
    from .outgoing import Outgoing

__all__ = ["Direct"]

#: A line is closed after this idle time, as in aiohttp.
IDLE_SECONDS = 15.0
READ_BYTES = 262_144
#: Above this number, origins without an open line are dropped.
MOST_ORIGINS = 256


class _Origin:
    """The part that all requests to one origin share, and its idle lines: the one that became idle last is at the end."""

    __slots__ = ("common", "host", "idle", "open", "origin", "url")

    def __init__(self, origin: str, headers: Mapping[str, str]) -> None:
        self.origin = origin
        self.url = URL(origin)
        host = self.url.host_port_subcomponent
        if not self.url.raw_host or host is None:
            raise ValueError("no host")
        self.host = self.url.authority
        self.common = common_part(host, headers)
        self.idle: list[Line] = []
        self.open = 0


class Direct(Home):
    """The lines of one event loop."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        pool: Pool,
        headers: Mapping[str, str],
        transport_error: Callable[[BaseException, str], TransportError],
    ) -> None:
        self._client = client
        self._pool = pool
        self._slots = pool.slots
        self._headers = headers
        self._transport_error = transport_error
        self._loop = asyncio.get_running_loop()
        self._origins: dict[str, _Origin] = {}
        self._last: tuple[str, tuple[_Origin, str]] | None = None
        self._view = memoryview(bytearray(READ_BYTES))
        self._sweep: asyncio.TimerHandle | None = None

    async def open(self, outgoing: Outgoing, headers: Mapping[str, str], scope: CancelScope) -> HttpResponse:
        """Do what `Transport.open` promises."""
        response: HttpResponse | None = None
        exchange: Exchange | None = None
        place: _Origin | None = None
        host = ""
        try:
            place, target = self._find(outgoing)
            host = place.host
            line = self._idle_line(place) or await self._connect(place, outgoing.timeouts, scope)
            exchange = line.send(outgoing.method, target, place.common, headers, outgoing.body)
            scope.expect_bytes()
            received = await exchange.future
        except asyncio.CancelledError:
            if not scope.read_timed_out():
                raise
            failure = read_timed_out(host)
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            failure = self._transport_error(error, host)
        else:
            if isinstance(received, BaseException):
                failure = self._failure(received, host, outgoing.method)
            elif received[0] >= 200:
                status, given, content, uncoded = received
                slots = (self._slots, outgoing.clinic_slot)
                response = HttpResponse(
                    status, given, content, exchange.close, host, scope, self._transport_error, slots, uncoded=uncoded
                )
                return response
            else:  # after 101 the connection speaks another protocol
                failure = not_final(received[0], host)
        finally:
            scope.got_bytes()
            if response is None:
                if exchange is not None:
                    exchange.close()
                self._slots.release()
        if place is not None and exchange is not None and exchange.reused and not exchange.got_bytes:
            self._close_idle_since(place, exchange.sent_at)
        raise failure

    def _failure(self, error: BaseException, host: str, method: str) -> TransportError:
        if isinstance(error, HttpProcessingError):
            error = NotHttpError()
        elif method == "GET" or not isinstance(error, OSError):
            error = DisconnectedError()
        return self._transport_error(error, host)

    def _find(self, outgoing: Outgoing) -> tuple[_Origin, str]:
        url, last = outgoing.url, self._last
        if (
            last is not None and last[0] == url
        ):  # most calls, those of other clinics too, have the URL of the one before
            return last[1]
        found = self._place(url)  # this may drop origins, but not the one that it returns
        if outgoing.body is None:
            self._last = (url, found)
        return found

    def _place(self, url: str) -> tuple[_Origin, str]:
        place = self._origins.get(url[: url.find("/", 8)])
        if place is not None and (target := target_at(url, place.origin)) is not None:
            return place, target
        origin, target = split_url(url)
        return self._origins.get(origin) or self._new_origin(origin), target

    def _new_origin(self, origin: str) -> _Origin:
        if len(self._origins) >= MOST_ORIGINS:
            self._last = None  # its origin may be dropped here
            self._origins = {key: each for key, each in self._origins.items() if each.open}
        place = self._origins[origin] = _Origin(origin, self._headers)
        return place

    def _idle_line(self, place: _Origin) -> Line | None:
        while place.idle:
            line = place.idle.pop()
            if line.fit() and self._pool.sockets.reuse(line.transport):
                return line
            line.close()
        return None

    async def _connect(self, place: _Origin, timeouts: Timeouts, scope: CancelScope) -> Line:
        """Open a connection: DNS, TCP and TLS within connect_seconds. Or return one that became idle meanwhile."""
        sockets = self._pool.sockets
        while sockets.is_full() and await sockets.make_room(place):
            line = self._idle_line(place)
            if line is not None:
                return line
        request = aiohttp.ClientRequest("GET", place.url, loop=self._loop, session=self._client)
        place.open += 1
        try:
            connection = await self._pool.connect_for(request, scope, connect_timeout(timeouts))
            transport, handler = connection.transport, connection.protocol
            if (
                transport is None or handler is None or handler.should_close
            ):  # lost, or bytes arrived before any request
                connection.close()
                raise DisconnectedError
        except BaseException:
            place.open -= 1
            raise
        line = Line(self._loop, self, place, connection, transport, self._view)
        sockets.hand_over(transport, line, place)
        return line

    def take_back(self, line: Line) -> None:
        """Keep a line that is idle now."""
        line.place.idle.append(line)
        if self._sweep is None:
            self._sweep = self._loop.call_later(IDLE_SECONDS, self._close_idle)

    def forget(self, line: Line) -> None:
        """Drop a line whose connection is lost."""
        line.place.open -= 1
        if line in line.place.idle:
            line.place.idle.remove(line)

    def idle_lines(self) -> list[Line]:
        """Return the lines that are not in use."""
        return [line for place in self._origins.values() for line in place.idle]

    def _close_idle(self) -> None:
        self._sweep = None
        last = self._loop.time() - IDLE_SECONDS
        young: list[float] = []
        for line in self.idle_lines():
            if line.idle_since <= last:
                line.close()
            else:
                young.append(line.idle_since)
        if young:
            self._sweep = self._loop.call_at(min(young) + IDLE_SECONDS, self._close_idle)

    def _close_idle_since(self, place: _Origin, since: float) -> None:
        for line in [each for each in place.idle if each.idle_since <= since]:
            line.close()

    def close(self) -> None:
        """Cancel the timer; the pool closes the connections."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
