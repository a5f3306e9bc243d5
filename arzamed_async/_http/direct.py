"""The direct lane: own requests over connections that aiohttp opens.

aiohttp's request and response objects are most of the cost of a small call. Here a request is one write and a response
one read; an unusual response is left to aiohttp's parser (see `line`). The line that became idle last is used first.
If a reused line fails before the first byte of its response, or stays silent, all lines that have been idle as long are
closed: a middlebox that dropped one connection has most likely dropped the others.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from .._concurrency.byte_budget import ByteBudget
from .._concurrency.cancel_scope import CancelScope
from ..errors import TransportError
from .failures import transport_error
from .handler import DisconnectedError, HttpProcessingError, NotHttpError, SilentError
from .line import Exchange, Home, Line
from .parsed import Received
from .pool import Pool, connect_timeout
from .probe import parser_works
from .request_bytes import common_part, split_url, target_at
from .response import HttpResponse, not_final, read_timed_out

if TYPE_CHECKING:
    from .outgoing import Outgoing

__all__ = ["Direct"]

#: A line is closed after this idle time, as in aiohttp.
IDLE_SECONDS = 15.0
READ_BYTES = 262_144
#: A look at what waits for the first byte of its response.
LOOK_SECONDS = 1.0
#: A reused line that has been silent for this many looks (and the time up to the first one) is taken for dead, ...
LOOKS = 2
#: ... unless a response of the origin has taken longer within this time.
SLOW_SECONDS = 600.0
#: Above this number, origins without an open line are dropped.
MOST_ORIGINS = 256


class _Origin:
    """The part that all requests to one origin share, and its idle lines: the one that became idle last is at the end."""

    __slots__ = ("_slow", "_slow_until", "common", "host", "idle", "open", "origin", "url")

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
        self._slow = 0  # looks that a response has taken lately
        self._slow_until = 0.0

    def was_slow(self, waits: int, now: float) -> None:
        """Remember how many looks a request has waited for its first byte over a connection that works."""
        if waits >= self._slow or now > self._slow_until:
            self._slow, self._slow_until = waits, now + SLOW_SECONDS

    def patience(self, now: float) -> int:
        """Return for how many looks a reused line may be silent: more than the slowest response lately has taken."""
        return LOOKS + (2 * self._slow if now <= self._slow_until else 0)


class Direct(Home):
    """The lines of one event loop."""

    def __init__(
        self, client: aiohttp.ClientSession, pool: Pool, headers: Mapping[str, str], budget: ByteBudget
    ) -> None:
        self.budget = budget
        self._client = client
        self._pool = pool
        self._slots = pool.slots
        self._headers = headers
        self._loop = asyncio.get_running_loop()
        self._origins: dict[str, _Origin] = {}
        self._last: tuple[str, tuple[_Origin, str]] | None = None
        self._view = memoryview(bytearray(READ_BYTES))
        self._sweep: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        #: What had no byte at the last look: for how many looks, and whether it may be repeated.
        self._waits: dict[Exchange, tuple[int, bool]] = {}

    async def open(self, outgoing: Outgoing, headers: Mapping[str, str], scope: CancelScope) -> HttpResponse:
        """Do what `Transport.open` promises."""
        response: HttpResponse | None = None
        exchange: Exchange | None = None
        host = ""
        try:
            place, target = self._find(outgoing)
            host = place.host
            line = None if outgoing.new_connection else self._idle_line(place)
            line = line or await self._connect(place, outgoing, scope)
            exchange = line.send(outgoing, target, place.common, headers)
            if self._watch is None:
                self._watch = self._loop.call_later(LOOK_SECONDS, self._look)
            scope.expect_bytes()
            received = await exchange.future
        except asyncio.CancelledError:
            if not scope.read_timed_out():
                raise
            failure = read_timed_out(host)
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            failure = transport_error(error, host)
        else:
            if not isinstance(received, BaseException) and received[0] >= 200:
                status, given, content, uncoded = received
                slots = (self._slots, outgoing.clinic_slot)
                response = HttpResponse(
                    status, given, content, exchange.close, host, scope, transport_error, slots, uncoded=uncoded
                )
                return response
            failure = self._failure(received, exchange, host, outgoing.method)
        finally:
            scope.got_bytes()
            if response is None:
                if exchange is not None:
                    exchange.close()
                self._slots.release()
        if exchange is not None:
            self._close_suspects(exchange)
        raise failure

    def _failure(
        self, received: Received | BaseException, exchange: Exchange, host: str, method: str
    ) -> TransportError:
        if not isinstance(received, BaseException):  # after 101 the connection speaks another protocol
            return not_final(received[0], host)
        if isinstance(received, SilentError):
            return transport_error(received, host)
        if isinstance(received, HttpProcessingError):
            received = NotHttpError(received.message)
        elif not isinstance(received, ssl.SSLError) and (method == "GET" or not isinstance(received, OSError)):
            received = DisconnectedError()  # an alert of TLS has more to report
        failure = transport_error(received, host)
        failure.stale = exchange.reused and not exchange.got_bytes
        return failure

    def _find(self, outgoing: Outgoing) -> tuple[_Origin, str]:
        url, last = outgoing.url, self._last
        if last is not None and last[0] == url:  # so it is for most calls, those of other clinics too
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

    def fits(self) -> bool:
        """Return whether this version of aiohttp does what the direct lane needs of it although it does not promise that."""
        try:
            self._request(URL("http://localhost/"))
            return parser_works(self._loop)
        except Exception:  # noqa: BLE001 - a version that is not known may raise anything
            return False

    def _request(self, url: URL) -> aiohttp.ClientRequest:
        """Return what aiohttp opens a connection for."""
        return aiohttp.ClientRequest("GET", url, loop=self._loop, session=self._client)

    async def _connect(self, place: _Origin, outgoing: Outgoing, scope: CancelScope) -> Line:
        """Open a connection: DNS, TCP and TLS within connect_seconds. Or return one that became idle meanwhile."""
        sockets = self._pool.sockets
        while sockets.is_full() and await sockets.make_room(place):
            line = self._idle_line(place)
            if line is not None:
                if not outgoing.new_connection:
                    return line
                line.close()  # there is room in its place
        request = self._request(place.url)
        place.open += 1
        try:
            connection = await self._pool.connect_for(request, scope, connect_timeout(outgoing.timeouts))
            self._pool.expect_no_more(scope)
            transport, handler = connection.transport, connection.protocol
            if transport is None or handler is None or handler.should_close:  # lost, or bytes before any request
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

    def _close_suspects(self, exchange: Exchange) -> None:
        """Close the lines to the host that have been idle as long as the one which has failed before its first byte."""
        if exchange.reused and not exchange.got_bytes:
            for line in [each for each in exchange.place.idle if each.idle_since <= exchange.sent_at]:
                line.close()

    def _look(self) -> None:
        """Look at what waits for its first byte: a reused line that stays silent for too long is taken for dead.

        It may only be slow. So a request is ended only if it may be repeated, and the slowest response is remembered.
        """
        self._watch = None
        now = self._loop.time()
        looked, self._waits = self._waits, {}
        for ended, (waits, _) in looked.items():
            if ended.got_bytes:
                ended.place.was_slow(waits, now)
        for user in self._pool.sockets.users():
            exchange = user.owner if isinstance(user, Line) else None
            if exchange is not None and not exchange.got_bytes:
                before, may_repeat = looked.get(exchange) or (0, exchange.drop_request())
                waits = before + 1
                self._waits[exchange] = waits, may_repeat
                if not exchange.reused:
                    exchange.place.was_slow(waits, now)
                elif waits > exchange.place.patience(now) and may_repeat:
                    exchange.end(SilentError())
        if self._waits:
            self._watch = self._loop.call_later(LOOK_SECONDS, self._look)

    def close(self) -> None:
        """Cancel the timers; the pool closes the connections."""
        for timer in (self._sweep, self._watch):
            if timer is not None:
                timer.cancel()
        self._sweep = self._watch = None
