"""How RedisTokenStore connects where it has a URL: one client for each event loop, quick to give up."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# redis-py annotates its signatures in part.

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis.asyncio.connection import SSLConnection

__all__ = ["BoundClient", "GivenClient", "client_maker"]

#: More than a session gives an answer (0.2 s), which does not count the time in which its event loop stood still.
_SECONDS = 0.5
#: Calls under way at once, and so connections, in each process: a call is one short script.
_CONNECTIONS = 8


class BoundClient:
    """A client of ours on one event loop, and so many slots to use it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        # redis-py keeps its limit with `asyncio.wait_for`, which before Python 3.12 can swallow a cancellation: so the
        # limit is kept here, for the call as a whole.
        self._seconds: float | None = client.connection_pool.connection_kwargs["socket_timeout"]
        client.connection_pool.connection_kwargs["socket_timeout"] = None
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        # asyncio.run closes what async generators a loop has left: so the connections go with their loop.
        self.closer = _close_with_loop(client)
        with contextlib.suppress(StopIteration):
            self.closer.__anext__().send(None)  # runs to its yield, which awaits nothing

    async def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        """Run a script; TimeoutError where that takes too long."""
        async with asyncio.timeout(self._seconds), self._slots:
            return await self._client.eval(script, numkeys, *keys_and_args)

    async def drop_idle(self) -> None:
        """Drop the connections that no call uses now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await _drop_idle(self._client)


class GivenClient:
    """A client that is another's, with limits that we do not know."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._left: set[asyncio.Future[Any]] = set()

    async def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        """Run a script. A caller who is cancelled goes at once, whatever the client makes of it."""
        call = asyncio.ensure_future(self._client.eval(script, numkeys, *keys_and_args))
        try:
            await asyncio.wait((call,))
        except asyncio.CancelledError:
            self._left.add(call)
            call.add_done_callback(self._forget)
            call.cancel()
            raise
        return call.result()

    async def drop_idle(self) -> None:
        """Drop the connections that no call uses now: the client makes others when it needs them."""
        await _drop_idle(self._client)

    def _forget(self, call: asyncio.Future[Any]) -> None:
        self._left.discard(call)
        if not call.cancelled():
            call.exception()  # nobody is left to be told


async def _drop_idle(client: Any) -> None:
    """Drop a client's connections where no call uses them; in use are, at worst, some that the next such answer drops.

    Errors while closing are of no interest: the sockets are closed all the same.
    """
    if hasattr(client, "get_nodes"):  # a Cluster's, which before redis-py 7 can drop but all
        drops = [getattr(node, "disconnect_free_connections", node.disconnect)() for node in client.get_nodes()]
    else:
        drops = [client.connection_pool.disconnect(inuse_connections=False)]
        if client.connection is not None:  # the client's only one, which the pool takes for one in use
            drops.append(client.connection.disconnect())
    await asyncio.gather(*drops, return_exceptions=True)


async def _close_with_loop(client: Any) -> AsyncGenerator[None, None]:
    from redis.exceptions import RedisError

    try:
        yield
    finally:
        with contextlib.suppress(RedisError):  # a server that does not answer: the sockets are closed all the same
            await client.aclose()


def client_maker(url: str) -> Callable[[], Any] | None:
    """Return a function that makes a client, which connects when it is first used; None where the URL is no good.

    Certificates that the URL names are read now, once: reading them for each connection, as redis-py does, would hold
    the event loop for 20 ms and more each time.
    """
    if not url.startswith(("redis://", "rediss://")):
        return None
    from redis.asyncio import Redis
    from redis.asyncio.connection import SSLConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import RedisError

    # A connection that the server has dropped is made anew, once; a server that does not answer is not asked twice.
    retry: Any = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    # redis-py 5 retries a call only for what `retry_on_error` names, too.
    # RESP2: with RESP3, its default, redis-py 8 takes an answer left unread in a connection for the next call's.
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
        connection = make().connection_pool.make_connection()  # which looks at the options, and does not connect
        if isinstance(connection, SSLConnection):
            tls = _tls_connection(connection)
    except (ValueError, TypeError, OSError, RedisError):  # whose text may hold a part of the password
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
            # Else a server that stands still keeps a closed connection open for 30 s; this is over before redis-py
            # loses patience with closing, and leaves a socket behind.
            return {**super()._connection_arguments(), "ssl_shutdown_timeout": _SECONDS / 2}

    return TlsConnection
