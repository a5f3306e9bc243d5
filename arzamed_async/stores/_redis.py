"""The token store for many machines."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any, cast

import orjson

from arzamed_async import ConfigurationError, Lease, StoredRejection, StoredToken

from ._extras import require
from ._redis_client import BoundClient, GivenClient, client_maker
from ._scripts import ACQUIRE, DISCARD, LOAD, RELEASE, RENEW, SAVE

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

__all__ = ["RedisTokenStore"]

#: Lease numbers are remembered for longer than any token lives: of `expires_in` a day is the most that is believed.
_REMEMBER_MILLISECONDS = 2 * 86_400_000
#: How long to wait for a server that does not answer before a lease is given back to it once more.
_GIVE_BACK_AGAIN_SECONDS = 0.3


class RedisTokenStore:
    """A TokenStore in Redis: tokens in common for many machines (extra `redis`, servers from Redis 5 on).

    `url_or_client` is a `redis://` or `rediss://` (TLS) URL, with redis-py's options behind a question mark, or a ready
    `redis.asyncio` client: Sentinel's and Cluster's too. Over a URL a call gives up after 0.5 s (`socket_timeout`; a session waits 0.2 s) and
    connects anew once; there are 8 connections at the most for an event loop, and certificates are read when the store
    is made. A ready client has its own limits, is used on the event loops that it is good for, and is never closed. A bad
    URL is a ConfigurationError; calls raise TimeoutError, and redis-py's errors as they are.

        store = RedisTokenStore("rediss://:password@redis.example:6380/0?ssl_ca_certs=/etc/ssl/redis.pem")
        async with ArzamedSession(token_store=store) as session:
            ...
        await store.aclose()

    A clinic has three keys, `prefix`, a digest, and what they are for; each has a time to live. No secret and no client
    id is in them, but the access token stands there as it is: who may read them can use it until it expires, and who
    may write them can plant another.

    Times are by the server's clock. A lease whose answer was not waited for, or got lost, is given back when the server
    answers again. An answer that is another call's (one that was left unread in its connection) is not believed: that is
    redis-py's InvalidResponse, and the connection is dropped.
    """

    def __init__(self, url_or_client: str | Redis | RedisCluster, *, prefix: str = "arzamed:token:") -> None:
        require("redis", "redis")
        self._prefix = prefix
        self._bound: dict[asyncio.AbstractEventLoop, BoundClient] = {}
        self._given: GivenClient | None = None
        self._going_back: set[asyncio.Task[None]] = set()
        if isinstance(url_or_client, str):
            make = client_maker(url_or_client)
            url_or_client = ""  # a password may be in it: nothing of it in a traceback
            if make is None:
                raise ConfigurationError(
                    "the URL of a RedisTokenStore has to be redis:// or rediss://, with options that redis-py knows"
                    " and files that can be read"
                )
            self._make = make
        else:
            self._given = GivenClient(url_or_client)

    async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
        """Return what is kept, with what is left of its time; None: nothing, or its time is over."""
        reply = await self._run(LOAD, key)
        return None if reply is None else _read(*reply)

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        """Keep it for `kept.seconds_left`; False, and nothing changed, where a later lease's is kept already.

        Without a lease it is kept only where nothing is.
        """
        if isinstance(kept, StoredToken):
            token, rejection, age = kept.access_token, b"", kept.age_seconds
        else:
            token, rejection, age = "", orjson.dumps([kept.status, kept.error, kept.description]), 0.0
        fence = "" if lease is None else lease.fence
        left = _milliseconds(kept.seconds_left)
        return bool(await self._run(SAVE, key, fence, token, rejection, _milliseconds(age), left))

    async def discard(self, key: str, access_token: str, /) -> bool:
        """Drop what is kept if it is this very token; return whether it was."""
        return bool(await self._run(DISCARD, key, access_token))

    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        """Return a lease for so many seconds; None while another has it. Does not wait."""
        owner = secrets.token_hex(16)
        try:
            fence = await self._run(ACQUIRE, key, owner, max(1, _milliseconds(seconds)), _REMEMBER_MILLISECONDS)
        except (Exception, asyncio.CancelledError):
            # The server may have given it, or may yet: a lease that nobody knows of would be waited for.
            work = asyncio.get_running_loop().create_task(self._give_back(key, owner, seconds))
            self._going_back.add(work)
            work.add_done_callback(self._going_back.discard)
            raise
        return None if fence is None else Lease(key, owner, int(fence))

    async def renew(self, lease: Lease, seconds: float, /) -> bool:
        """Let a lease last so many seconds from now; False where it is no longer the holder's."""
        return bool(await self._run(RENEW, lease.key, lease.owner, max(1, _milliseconds(seconds))))

    async def release(self, lease: Lease, /) -> None:
        """Give a lease back, if it is still the holder's."""
        await self._run(RELEASE, lease.key, lease.owner)

    async def aclose(self) -> None:
        """Close the connections that this store has opened on the running event loop. More than once is fine."""
        running = asyncio.get_running_loop()
        if going := {work for work in self._going_back if work.get_loop() is running}:
            for work in going:
                work.cancel()
            await asyncio.wait(going)
        bound = self._bound.pop(running, None)
        if bound is not None:
            await bound.closer.aclose()

    async def _give_back(self, key: str, owner: str, seconds: float) -> None:
        """Take a lease from its owner as soon as the server answers, if it does before the lease ends by itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                await self._run(RELEASE, key, owner)
                return
            await asyncio.sleep(_GIVE_BACK_AGAIN_SECONDS)

    async def _run(self, script: str, key: str, *arguments: str | bytes | float) -> Any:
        # The braces keep a key's three places together in one slot of a Cluster.
        places = [f"{self._prefix}{{{key}}}:{what}" for what in ("kept", "lease", "fence")]
        client = self._given or self._bind()
        number = secrets.token_hex(8)
        reply = await client.eval(script, len(places), *places, *arguments, number)
        # A ready client may or may not decode its replies.
        parts: list[Any] = reply if isinstance(reply, list) else []  # pyright: ignore[reportUnknownVariableType]
        if len(parts) == 2 and parts[0] in (number, number.encode()):
            return parts[1]
        await client.drop_idle()
        raise _not_this_calls()

    def _bind(self) -> BoundClient:
        """Return the client of the running event loop."""
        loop = asyncio.get_running_loop()
        bound = self._bound.get(loop)
        if bound is None:
            for old in [each for each in self._bound if each.is_closed()]:
                del self._bound[old]
            bound = self._bound[loop] = BoundClient(self._make())
        return bound


def _not_this_calls() -> Exception:
    from redis.exceptions import InvalidResponse

    return InvalidResponse("the answer is another call's: the connection has been dropped")


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _text(value: str | bytes) -> str:
    """Return text; a ready client may or may not decode its replies."""
    return value if isinstance(value, str) else value.decode()


def _read(
    token: str | bytes, rejection: str | bytes, age: str | bytes, left: int
) -> StoredToken | StoredRejection | None:
    if left <= 0:
        return None
    if not rejection:
        return StoredToken(_text(token), max(0.0, int(age) / 1000), left / 1000)
    status, error, description = cast("tuple[int | None, str, str]", orjson.loads(rejection))
    return StoredRejection(status, error, description, left / 1000)
