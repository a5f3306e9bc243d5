"""Redis clients with limits: one of our own for each event loop, or the one that the caller has passed."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# redis-py annotates its signatures only partially.

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from arzamed_async import ConfigurationError

from ._forks import leave_connections

if TYPE_CHECKING:
    from redis.asyncio.connection import SSLConnection

__all__ = ["BoundClient", "GivenClient", "check_client", "client_maker"]

#: More than a session waits for a response (0.2 s), since that does not count the time in which the loop was blocked.
_SECONDS = 0.5
#: Concurrent calls, and so connections, for each event loop: a call is one short script.
_CONNECTIONS = 8


class BoundClient:
    """A client made from a URL, on one event loop, with a bounded number of concurrent calls."""

    def __init__(self, client: Any) -> None:
        self._client = client
        # redis-py applies its timeout with `asyncio.wait_for`, which can swallow a cancellation before Python 3.12.
        # So the timeout is applied here, to the call as a whole.
        self._seconds: float | None = client.connection_pool.connection_kwargs["socket_timeout"]
        client.connection_pool.connection_kwargs["socket_timeout"] = None
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        # asyncio.run closes async generators that are still open: so the connections are closed with their loop.
        self.closer = _close_with_loop(client)
        with contextlib.suppress(StopIteration):
            self.closer.__anext__().send(None)  # runs up to its yield, which awaits nothing

    async def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        """Run a script; TimeoutError if it takes too long."""
        async with asyncio.timeout(self._seconds), self._slots:
            return await self._client.eval(script, numkeys, *keys_and_args)

    def leave_process(self) -> object:
        """Leave the connections to the parent of this forked child. Returns what must not be freed here."""
        return leave_connections(self._client)

    async def drop_idle(self) -> None:
        """Drop the idle connections."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await _drop_idle(self._client)


class GivenClient:
    """A client that the caller has passed, with limits of its own."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._left: set[asyncio.Future[Any]] = set()

    async def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        """Run a script. A cancelled caller returns at once, however the client handles a cancellation."""
        call = asyncio.ensure_future(self._client.eval(script, numkeys, *keys_and_args))
        try:
            await asyncio.wait((call,))
        except asyncio.CancelledError:
            self._left.add(call)
            call.add_done_callback(self._forget)
            call.cancel()
            raise
        return call.result()

    def leave_process(self) -> object:
        """Leave the connections to the parent of this forked child; the client opens others when it needs them."""
        left, self._left = self._left, set()
        return left, leave_connections(self._client)

    async def drop_idle(self) -> None:
        """Drop the idle connections; the client opens others when it needs them."""
        await _drop_idle(self._client)

    def _forget(self, call: asyncio.Future[Any]) -> None:
        self._left.discard(call)
        if not call.cancelled():
            call.exception()  # retrieved, so that asyncio does not log it


async def _drop_idle(client: Any) -> None:
    """Drop a client's idle connections. One in use with the same fault is dropped by the next mismatched response.

    Errors while closing are ignored: the sockets are closed all the same.
    """
    if hasattr(client, "get_nodes"):  # a Cluster: before redis-py 7 it can only drop all of them
        drops = [getattr(node, "disconnect_free_connections", node.disconnect)() for node in client.get_nodes()]
    else:
        drops = [client.connection_pool.disconnect(inuse_connections=False)]
        if client.connection is not None:  # a single-connection client: the pool counts its connection as in use
            drops.append(client.connection.disconnect())
    await asyncio.gather(*drops, return_exceptions=True)


async def _close_with_loop(client: Any) -> AsyncGenerator[None, None]:
    from redis.exceptions import RedisError

    try:
        yield
    finally:
        with contextlib.suppress(RedisError):  # if the server does not respond, the sockets are closed all the same
            await client.aclose()


def check_client(client: Any) -> None:
    """Raise ConfigurationError if this is no asyncio client of redis-py."""
    import redis

    synchronous = isinstance(client, (redis.Redis, redis.RedisCluster))
    if synchronous or isinstance(client, type) or not callable(getattr(client, "eval", None)):
        kind = f"a synchronous {type(client).__name__}" if synchronous else type(client).__name__
        raise ConfigurationError(f"url_or_client must be a URL or a client of redis.asyncio, not {kind}")


def client_maker(url: str) -> Callable[[], Any] | None:
    """Return a function that creates a client, which connects lazily; None if the URL is invalid.

    Certificates that the URL names are read once, now: redis-py reads them for each connection, which would block
    the event loop for 20 ms or more each time.
    """
    if not url.startswith(("redis://", "rediss://")):
        return None
    from redis.asyncio import Redis
    from redis.asyncio.connection import SSLConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import RedisError

    # A connection that the server has dropped is reopened, once. A timeout is not retried.
    retry: Any = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    # redis-py 5 retries a call only for errors that `retry_on_error` names too.
    # RESP2: with RESP3, its default, redis-py 8 returns a reply left unread in a connection to the next call.
    options: dict[str, Any] = {
        "socket_connect_timeout": _SECONDS, "socket_timeout": _SECONDS, "protocol": 2,
        "retry": retry, "retry_on_error": [RedisConnectionError],
    }  # fmt: skip
    from_url: Callable[..., Any] = Redis.from_url
    tls: type[SSLConnection] | None = None

    def make() -> Any:
        client = from_url(url, **options)
        if tls is not None:
            client.connection_pool.connection_class = tls
        return client

    try:
        connection = make().connection_pool.make_connection()  # validates the options, and does not connect
        if isinstance(connection, SSLConnection):
            tls = _tls_connection(connection)
    except (ValueError, TypeError, OSError, RedisError):  # their text may hold part of the password
        return None
    return make


def _tls_connection(first: SSLConnection) -> type[SSLConnection]:
    """Return a class of connections that share the TLS context of the first one."""
    context = first.ssl_context
    context.get()  # reads the certificates

    class TlsConnection(type(first)):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.ssl_context = context

        def _connection_arguments(self) -> dict[str, Any]:
            # Otherwise an unresponsive server keeps a closed connection open for 30 s. This timeout is shorter than
            # redis-py's own timeout for closing, which would leak a socket.
            return {**super()._connection_arguments(), "ssl_shutdown_timeout": _SECONDS / 2}

    return TlsConnection
