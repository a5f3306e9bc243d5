"""Sends one request and returns its response, with a body to be read piece by piece. The only importer of aiohttp.

Every exception of aiohttp, ssl or the operating system ends here as a TransportError made of facts, while the body
streams, too. Nothing is chained: aiohttp's exceptions hold the request's headers.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, cast

import aiohttp
from yarl import URL

from .._concurrency.cancel_scope import CancelScope
from .._concurrency.semaphore import FairSemaphore
from .._version import __version__
from ..config import PoolLimits, Timeouts
from ..errors import ConfigurationError, TransportError
from .connections import Connections
from .decompress import ACCEPT_ENCODING
from .reasons import certificate_reason, connection_reason
from .response import HttpResponse, read_timed_out

try:
    from aiohttp.client_proto import ResponseHandler
except ImportError:
    raise ImportError(f"aiohttp {aiohttp.__version__} has no aiohttp.client_proto.ResponseHandler") from None

__all__ = ["Http", "Transport"]

Http = aiohttp.ClientSession | Callable[[], aiohttp.ClientSession]

#: Limits of a response's head: bytes of a line, and number of headers.
HEADER_BYTES, MOST_HEADERS = 8190, 128


class DisconnectedError(aiohttp.ClientError):
    """The connection was lost. aiohttp does not resend a request after this exception."""


#: What the pool uses of aiohttp although aiohttp does not promise it.
UNPROMISED_NAMES = {"TCPConnector": ["_factory"], "ResponseHandler": ["_payload", "exception", "should_close"]}


def _require_unpromised_names(*objects: object) -> None:
    """Raise ConfigurationError if this aiohttp lacks a name that the pool uses: a cut body would pass for a whole one."""
    missing = [
        f"{kind.__name__}.{name}"
        for each in objects
        for kind in type(each).__mro__
        for name in UNPROMISED_NAMES.get(kind.__name__, ())
        if not (hasattr(kind, name) or hasattr(each, name))  # a property that needs another name counts as there
    ]
    if missing:
        raise ConfigurationError(
            f"aiohttp {aiohttp.__version__} has no {', '.join(missing)}: use another version of aiohttp"
        )


#: Why there is no usable response, by class of exception; a subclass without a line has the reason of its base.
REASONS: dict[type[BaseException], str] = {
    aiohttp.ClientConnectorSSLError: "TLS handshake failed",
    aiohttp.ClientConnectorDNSError: "the host name was not found",
    aiohttp.ClientProxyConnectionError: "proxy connection failed",
    aiohttp.ClientHttpProxyError: "proxy connection failed",
    aiohttp.ConnectionTimeoutError: "connect timed out: no connection within connect_seconds",
    TimeoutError: "read timed out: no data within read_seconds",
    aiohttp.ServerDisconnectedError: "the connection was lost before the response",
    DisconnectedError: "the connection was lost before the response",
    aiohttp.ClientPayloadError: "the body was cut",
    aiohttp.ClientResponseError: "the response is not HTTP",
    ssl.SSLError: "the TLS connection failed",
}


def _transport_error(error: BaseException, host: str) -> TransportError:
    """Return the TransportError for an exception of a library: the reason, and the host."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", 0)
        return TransportError(f"{certificate_reason(code)} ({host})", transient=False)
    # Other exceptions, such as a ValueError of aiohttp, are due to the request: a retry would not help.
    return TransportError(
        f"{connection_reason(error, REASONS)} ({host})", transient=isinstance(error, (aiohttp.ClientError, OSError))
    )


class _Protocol(ResponseHandler):
    """aiohttp's protocol, but a body that is still incomplete fails whenever its connection fails.

    aiohttp's fast parser drops the body when it meets what is not HTTP, so that its reader would wait in vain; and it
    takes a reset for the end of a body without a length.
    """

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail the body first."""
        body = self._payload
        if (exc or self.exception()) and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError())
        super().connection_lost(exc)


class _Pool(aiohttp.TCPConnector):
    """Keeps connections alive, never more than `limit` open. A request holds one of its `slots`.

    aiohttp's own limit counts connections in use; idle ones, to other hosts, stay open beside them. Here `Connections`
    closes an idle one where a new one would be one too many. Each request that `expect` announces gets one connection:
    aiohttp would open a second one to resend a GET silently after a lost connection, and attempts are RetryPolicy's to
    count. The wait for a connection does not count as the server's silence: `expect_bytes` comes after it.
    """

    def __init__(self, limit: int, ssl_context: ssl.SSLContext | None) -> None:
        super().__init__(limit=0, ssl=ssl_context or True)  # pyright: ignore[reportUnknownMemberType] - aiohttp's
        loop = asyncio.get_running_loop()
        _require_unpromised_names(self, ResponseHandler(loop))
        self._factory = cast("Any", lambda: _Protocol(loop))
        self.slots = FairSemaphore(limit)
        self.sockets = Connections(limit, loop)
        self._senders: dict[asyncio.Task[Any] | None, CancelScope] = {}

    def expect(self, scope: CancelScope) -> None:
        """Allow one connection to the request that the task of `scope` sends next."""
        self._senders[scope.task] = scope

    def expect_no_more(self, scope: CancelScope) -> None:
        """Withdraw what `expect` allowed, if it was not used."""
        self._senders.pop(scope.task, None)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> aiohttp.connector.Connection:
        """Return a connection, as aiohttp does, once there is room."""
        scope = self._senders.pop(asyncio.current_task(), None)
        if scope is None:
            raise DisconnectedError
        sockets, host = self.sockets, req.connection_key
        while True:
            if sockets.is_full():
                await sockets.make_room(host)
            sockets.start_opening()
            try:
                connection = await super().connect(req, traces, timeout)
            except BaseException:
                sockets.opening_failed()
                raise
            protocol = connection.protocol
            spoiled = protocol is not None and protocol.should_close
            if sockets.claim(connection.transport, connection, host, spoiled=spoiled):
                break
            connection.close()
        scope.expect_bytes()
        return connection

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections. aiohttp no longer knows of those that are closing already."""
        self.sockets.abort_closing()
        await super().close(abort_ssl=abort_ssl)


class Transport:
    """The HTTP pool of one session: one aiohttp.ClientSession for each event loop it is used in."""

    def __init__(
        self,
        *,
        pool: PoolLimits,
        http: Http | None,
        ssl_context: ssl.SSLContext | None,
        proxy: str | None,
        trust_env: bool,
    ) -> None:
        self._limits = pool
        self._given = http
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._trust_env = trust_env
        self._client: aiohttp.ClientSession | None = None
        self._closer: AsyncGenerator[None, None] | None = None
        self._timeouts: tuple[Timeouts, aiohttp.ClientTimeout] | None = None
        self.pool: _Pool | None = None
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": ACCEPT_ENCODING,
            "User-Agent": f"arzamed-async/{__version__}",
        }

    def _make_client(self) -> aiohttp.ClientSession:
        if callable(self._given):
            return self._given()
        self.pool = _Pool(self._limits.connections, self._ssl_context)
        return aiohttp.ClientSession(
            connector=self.pool,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            proxy=self._proxy,
            trust_env=self._trust_env,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            max_headers=MOST_HEADERS,
        )

    def _bound_client(self) -> aiohttp.ClientSession:
        client = self._client
        if client is None:  # the first use in this loop
            if isinstance(self._given, aiohttp.ClientSession):
                client = self._given
            else:
                client = self._make_client()
                # asyncio.run closes what async generators a loop has left: so the pool of a session not closed goes, too.
                self._closer = _close_with_loop(client)
                with contextlib.suppress(StopIteration):
                    self._closer.__anext__().send(None)  # runs to its yield, which awaits nothing
            self._client = client
        if client.closed:
            raise ConfigurationError("the aiohttp session given as http= is closed")
        return client

    def _timeout(self, timeouts: Timeouts) -> aiohttp.ClientTimeout:
        """Return aiohttp's timeouts: to connect, and with a session of the caller's also to read."""
        if self._timeouts is None or self._timeouts[0] is not timeouts:
            reads = timeouts.read_seconds if self.pool is None else math.inf
            connect, read = (None if math.isinf(each) else each for each in (timeouts.connect_seconds, reads))
            self._timeouts = (timeouts, aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read))
        return self._timeouts[1]

    def acquire_slot_nowait(self) -> bool:
        """Acquire a slot of the pool if one is free. `open` must follow; it, or else its response, releases the slot."""
        self._bound_client()
        return self.pool is None or self.pool.slots.acquire_nowait()

    async def acquire_slot(self) -> None:
        """Wait for a slot, after `acquire_slot_nowait` found none."""
        if self.pool is not None:
            await self.pool.slots.acquire()

    async def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        scope: CancelScope,
        body: bytes | None = None,
        clinic_slot: FairSemaphore | None = None,
    ) -> HttpResponse:
        """Send one request, with an acquired slot. Returns the response, whatever its status; raises TransportError.

        Closing the response releases `clinic_slot`. If this raises, the caller releases it.
        """
        client, pool = self._bound_client(), self.pool
        if pool is not None:
            pool.expect(scope)
        result: HttpResponse | None = None
        host = ""
        try:
            host = (target := URL(url, encoded=True)).authority
            response = await client.request(
                method,
                target,
                data=body,
                headers=headers if pool else {**self._headers, **headers},
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=False,
                timeout=self._timeout(timeouts),
            )
        except asyncio.CancelledError:
            if not scope.read_timed_out():
                raise
            failure = read_timed_out(host)
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            failure = _transport_error(error, host)
        else:
            if response.status >= 200:
                result = _response(response, host, scope, (pool.slots if pool else None, clinic_slot))
                return result
            response.close()  # 101: the connection speaks something else from here on
            failure = TransportError(f"HTTP {response.status}, which is no final response ({host})")
        finally:
            scope.got_bytes()
            if pool is not None:
                pool.expect_no_more(scope)
                if result is None:
                    pool.slots.release()
        raise failure

    def use(self) -> tuple[int, int, int] | tuple[None, None, None]:
        """Return the connections in use and open, and the requests waiting for one; None for a session of the caller's."""
        pool = self.pool
        if pool is not None:
            return pool.slots.taken, pool.sockets.open_count(), pool.slots.waiting
        return (0, 0, 0) if self._given is None else (None, None, None)

    def leave_loop(self) -> None:
        """Drop the pool of an event loop that no longer runs, without awaiting anything."""
        self._client = self._closer = self.pool = None

    async def close(self) -> None:
        """Close the pool, unless it belongs to the caller."""
        closer, self._closer = self._closer, None
        self._client = None
        if closer is not None:
            await closer.aclose()


def _response(
    response: aiohttp.ClientResponse, host: str, scope: CancelScope, slots: tuple[FairSemaphore | None, ...]
) -> HttpResponse:
    return HttpResponse(
        response.status, response.headers, response.content, response.close, host, scope, _transport_error, slots
    )


async def _close_with_loop(client: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.close()
