"""What a RedisTokenStore is created from: a URL, a reference to one, or a client; and what of that may be pickled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from arzamed_async import ConfigurationError, SecretFromEnv, SecretFromFile

from ._redis_client import GivenClient
from ._redis_from_url import SCHEMES, check_client, client_maker, pool_problem
from ._worker_pool import WorkerPool

__all__ = ["Source"]

_BAD_URL = (
    f"the URL of a RedisTokenStore must begin with {', '.join(list(SCHEMES)[:-1])} or {list(SCHEMES)[-1]}, with options"
    " that redis-py supports and files that are readable"
)
_NOT_PICKLED = (
    "a RedisTokenStore with {} is not pickled: anyone who sees the copy would have the password. Create it from a reference,"
    ' such as RedisTokenStore(SecretFromEnv("REDIS_URL")), or, for fan_out_dask, name a function that creates it'
    ' (token_store="package.module:function")'
)
#: The time limit for reading a reference: its file may hang.
_RESOLVE_SECONDS = 0.5


class Source:
    """Creates clients. `client` is the one that was passed, if any."""

    def __init__(self, given: Any) -> None:
        self.client: GivenClient | None = None
        self._make: Callable[[], Any] | None = None
        self._reference: SecretFromEnv | SecretFromFile | None = None
        self._picklable: str | SecretFromEnv | SecretFromFile | None = None
        if isinstance(given, (SecretFromEnv, SecretFromFile)):
            self._reference = self._picklable = given
            client_maker("redis://127.0.0.1")  # imports redis-py, which takes longer than a call to a store may
        elif isinstance(given, str):
            self._make = _checked("url_or_client", client_maker(given))
            self._picklable = None if _may_hold_password(given) else str(given)
        else:
            check_client(given)
            self.client = GivenClient(given)
        self._pool = WorkerPool()

    def picklable(self) -> str | SecretFromEnv | SecretFromFile:
        """Return what a copy in another process is created from. Raises ConfigurationError if that would hold a password."""
        if self._picklable is None:
            what = "a password in its URL" if self.client is None else "a client of yours"
            raise ConfigurationError(_NOT_PICKLED.format(what))
        return self._picklable

    async def maker(self) -> Callable[[], Any]:
        """Return a function that creates a client. A reference is read now, in a thread: it may be a file that hangs."""
        if self._make is not None:
            return self._make
        async with asyncio.timeout(_RESOLVE_SECONDS):
            return await self._pool.run(self._resolved)

    def _resolved(self) -> Callable[[], Any]:
        assert self._reference is not None
        return _checked(repr(self._reference), client_maker(self._reference.resolve()))


def _checked(name: str, make: Callable[[], Any] | None) -> Callable[[], Any]:
    """Return what creates a client. Raises ConfigurationError if it is None, or its clients have too few connections."""
    problem = _BAD_URL if make is None else pool_problem(make())
    if make is None or problem is not None:
        raise ConfigurationError(f"{name}: {problem}")
    return make


def _may_hold_password(url: str) -> bool:
    """Return whether a URL has a login, or an option whose name speaks of a password (password, ssl_password)."""
    parts = urlsplit(url)
    return "@" in parts.netloc or any("pass" in name.lower() for name, _ in parse_qsl(parts.query, True))
