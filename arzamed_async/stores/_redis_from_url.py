"""Creates clients of redis-py from a URL, and checks those that a caller passes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# redis-py annotates its signatures only partially.

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from arzamed_async import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio.connection import SSLConnection

__all__ = ["SCHEMES", "check_client", "client_maker", "pool_problem"]

#: What a URL may begin with, and what redis-py calls that: it knows the protocol, not the other names of it.
SCHEMES = {
    "redis://": "redis://", "rediss://": "rediss://", "valkey://": "redis://", "valkeys://": "rediss://", "unix://": "unix://",
}  # fmt: skip
#: More than a session waits for a response (0.2 s), since that does not count the time in which the loop was blocked.
_SECONDS = 0.5
#: A session makes this number of calls at a time.
_LEAST_CONNECTIONS = 6


def check_client(client: Any) -> None:
    """Raise ConfigurationError if this is no asyncio client of redis-py."""
    import redis

    synchronous = isinstance(client, (redis.Redis, redis.RedisCluster))
    if synchronous or isinstance(client, type) or not callable(getattr(client, "eval", None)):
        kind = f"a synchronous {type(client).__name__}" if synchronous else type(client).__name__
        raise ConfigurationError(f"url_or_client must be a URL or a client of redis.asyncio, not {kind}")
    problem = pool_problem(client)
    if problem is not None:
        raise ConfigurationError(f"url_or_client: {problem}")


def pool_problem(client: Any) -> str | None:
    """Return why a client's connections do not suffice; None if they do."""
    pool = getattr(client, "connection_pool", None)  # a Cluster has one for each node
    options = getattr(client, "connection_kwargs", None)
    most = options.get("max_connections") if isinstance(options, dict) else getattr(pool, "max_connections", None)
    if isinstance(most, int) and most < _LEAST_CONNECTIONS:
        least = f"a session makes up to {_LEAST_CONNECTIONS} calls at a time: allow {_LEAST_CONNECTIONS} or more"
        return f"max_connections is {most}, and {least}"
    if getattr(pool, "is_master", True) is False:
        return "this client is for the replicas, which store nothing: use Sentinel.master_for"
    return None


def client_maker(url: str) -> Callable[[], Any] | None:
    """Return a function that creates a client, which connects lazily; None if the URL is invalid.

    Certificates that the URL names are read once, now: redis-py reads them for each connection, which would block
    the event loop for 20 ms or more each time.
    """
    scheme = next((each for each in SCHEMES if url.startswith(each)), None)
    if scheme is None:
        return None
    url = SCHEMES[scheme] + url.removeprefix(scheme)
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
