"""One HTTP attempt: a request out, an answer in, its body in pieces. The only importer of aiohttp.

Every exception of aiohttp, ssl or the operating system ends here as a TransportError made of facts;
while the body streams, too. Nothing is chained: aiohttp's exceptions hold the request's headers.
"""

from __future__ import annotations

import contextlib
import math
import os
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

import aiohttp
from yarl import URL

from ._decompress import ACCEPT_ENCODING, Inflater, inflater
from ._version import __version__
from .config import PoolLimits, Timeouts
from .errors import ConfigurationError, TransportError
from .models import Headers

__all__ = ["Answer", "Http", "Transport"]

Http = aiohttp.ClientSession | Callable[[], aiohttp.ClientSession]

# OpenSSL's verify codes (X509_V_ERR_*), in words that help.
_CERTIFICATE_FAULTS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "is signed by an unknown authority",
    20: "is signed by an unknown authority",
    62: "is for another host name",
    64: "is for another address",
}


class _DisconnectedError(aiohttp.ClientError):
    """A lost connection under a name that aiohttp does not take as a call to send the request again."""


async def _no_resend(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # aiohttp silently repeats a GET whose connection was lost. Attempts are RetryPolicy's to count.
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        pass
    raise _DisconnectedError


# In order: a subclass stands before its bases.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorSSLError, "no TLS connection could be agreed on"),
    (aiohttp.ClientConnectorDNSError, "the host name was not found"),
    (aiohttp.ClientProxyConnectionError, "the proxy gave no connection"),
    (aiohttp.ClientHttpProxyError, "the proxy gave no connection"),
    (aiohttp.ConnectionTimeoutError, "no connection within connect_seconds"),
    (TimeoutError, "no byte within read_seconds"),
    (aiohttp.ServerDisconnectedError, "the connection was lost before the answer"),
    (_DisconnectedError, "the connection was lost before the answer"),
    (aiohttp.ClientPayloadError, "the body was cut"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    (ssl.SSLError, "the TLS connection broke"),
)


def _reason(error: BaseException) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    if isinstance(error, OSError):
        number = error.errno
        return os.strerror(number).lower() if isinstance(number, int) and number > 0 else "the connection failed"
    return f"the connection failed ({type(error).__name__})"


def _fault(error: BaseException, host: str) -> TransportError:
    """Return the TransportError for a foreign exception: which fault, and at which host."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", 0)
        fault = _CERTIFICATE_FAULTS.get(code, "does not verify")
        return TransportError(f"the TLS certificate {fault} ({host})", transient=False)
    # What is neither a connection's nor a server's doing (a ValueError of aiohttp's own) comes again.
    return TransportError(f"{_reason(error)} ({host})", transient=isinstance(error, (aiohttp.ClientError, OSError)))


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


class Answer:
    """An HTTP answer whose body is still on the way. Read it to its end, or close it."""

    def __init__(self, response: aiohttp.ClientResponse, host: str) -> None:
        self._response = response
        self._host = host
        self._pieces: Iterator[bytes] | None = None
        self._inflater: Inflater | None = None
        self._checked = False
        self.status = response.status

    @property
    def headers(self) -> Headers:
        """The answer's headers."""
        return Headers(list(self._response.headers.items()))

    async def read(self) -> bytes:
        """Return the next piece of the body, decompressed; empty at its end.

        Raises TransportError (cut, corrupt, reset, timed out), DecodeError (a coding never asked for).
        """
        if not self._checked:
            self._inflater = inflater(self._response.headers.get("Content-Encoding"))
            self._checked = True
        if self._inflater is None:
            return await self._read_raw()
        while True:
            if self._pieces is not None:
                piece = next(self._pieces, None)
                if piece is not None:
                    return piece
                self._pieces = None
            data = await self._read_raw()
            if not data:
                self._inflater.finish()
                return b""
            self._pieces = self._inflater.feed(data)

    async def _read_raw(self) -> bytes:
        content = self._response.content
        try:
            while True:
                data = await content.readany()
                if data or content.at_eof():
                    return data
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            fault = _fault(error, self._host)
        raise fault

    def close(self) -> None:
        """Let the connection go: back to the pool if the body was read to its end, else closed."""
        self._response.close()


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
        self._pool = pool
        self._given = http
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._trust_env = trust_env
        self._client: aiohttp.ClientSession | None = None
        self._closer: AsyncGenerator[None, None] | None = None
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": ACCEPT_ENCODING,
            "User-Agent": f"arzamed-async/{__version__}",
        }

    def _make_client(self) -> aiohttp.ClientSession:
        if callable(self._given):
            return self._given()
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._pool.connections, ssl=self._ssl_context or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=self._proxy,
            trust_env=self._trust_env,
            middlewares=(_no_resend,),
        )

    def _bound_client(self) -> aiohttp.ClientSession:
        """Return the pool of the running loop, made at its first use."""
        client = self._client
        if client is None:
            if isinstance(self._given, aiohttp.ClientSession):
                client = self._given
            else:
                client = self._make_client()
                # asyncio.run closes what async generators a loop has left: so the pool goes with its loop,
                # also where a session outlives the loop and nobody has closed it there.
                self._closer = _close_with_loop(client)
                with contextlib.suppress(StopIteration):
                    self._closer.__anext__().send(None)  # runs to its yield, which awaits nothing
            self._client = client
        if client.closed:
            raise ConfigurationError("the aiohttp session given as http= is closed")
        return client

    async def open(
        self, method: str, url: str, headers: Mapping[str, str], timeouts: Timeouts, body: bytes | None = None
    ) -> Answer:
        """Send one request and return its answer, whatever its status. Raises TransportError."""
        client = self._bound_client()
        target = URL(url, encoded=True)
        try:
            response = await client.request(
                method,
                target,
                data=body,
                headers={**self._headers, **headers},
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_finite(timeouts.connect_seconds), sock_read=_finite(timeouts.read_seconds)
                ),
            )
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            fault = _fault(error, target.authority)
        else:
            return Answer(response, target.authority)
        raise fault

    def leave_loop(self) -> None:
        """Forget the pool of a loop that no longer runs; nothing of it is awaited."""
        self._client = self._closer = None

    async def close(self) -> None:
        """Close the pool, unless its owner is the caller."""
        closer, self._closer = self._closer, None
        self._client = None
        if closer is not None:
            await closer.aclose()


async def _close_with_loop(client: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.close()
