"""The token store for many machines."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any, cast

import orjson

from arzamed_async import ConfigurationError, Lease, StoredRejection, StoredToken
from arzamed_async._extras import hides_arguments

from ._extras import require
from ._forks import on_fork
from ._redis_client import BoundClient, GivenClient, check_client, client_maker
from ._scripts import ACQUIRE, DISCARD, LOAD, RELEASE, RENEW, SAVE

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

__all__ = ["RedisTokenStore"]

#: Lease numbers are stored for longer than any token lives: `expires_in` is capped at a day.
_REMEMBER_MILLISECONDS = 2 * 86_400_000
#: The delay before the release of a lease is retried, if the server did not respond.
_GIVE_BACK_AGAIN_SECONDS = 0.3


class RedisTokenStore:
    """A TokenStore in Redis, for many machines (extra `redis`; server version 5 or newer).

    `url_or_client` is a `redis://` or `rediss://` (TLS) URL, with redis-py's options as its query, or a
    `redis.asyncio` client, including those of Sentinel and Cluster. With a URL, a call times out after 0.5 s
    (`socket_timeout`; a session waits 0.2 s) and reconnects once; there are at most 8 connections for an event loop,
    and certificates are read when the store is created. A client keeps its own limits, is used on the event loops that
    it supports, and is never closed. An invalid URL is a ConfigurationError. Calls raise TimeoutError, and redis-py's
    errors unchanged.

        store = RedisTokenStore("rediss://:password@redis.example:6380/0?ssl_ca_certs=/etc/ssl/redis.pem")
        async with ArzamedSession(token_store=store) as session:
            ...
        await store.aclose()

    Each clinic has three keys, which consist of `prefix`, a digest and a purpose; each has a time to live. They contain
    no secret and no client id, but the access token is not encrypted: anyone who can read the keys can use it until it
    expires, and anyone who can write them can replace it.

    Times are by the server's clock. If the response with a lease was lost, or the call was cancelled, the lease is
    released as soon as the server responds again. A response that belongs to another call (one left unread in the
    connection) raises redis-py's InvalidResponse, and the connection is dropped.
    """

    @hides_arguments
    def __init__(self, url_or_client: str | Redis | RedisCluster, *, prefix: str = "arzamed:token:") -> None:
        require("redis", "redis")
        if not isinstance(prefix, str):
            raise ConfigurationError(f"prefix must be text, not {type(prefix).__name__}")
        self._prefix = prefix
        self._bound: dict[asyncio.AbstractEventLoop, BoundClient] = {}
        self._given: GivenClient | None = None
        self._going_back: set[asyncio.Task[None]] = set()
        if isinstance(url_or_client, str):
            make = client_maker(url_or_client)
            url_or_client = ""  # it may hold a password, which must not appear in a traceback
            if make is None:
                raise ConfigurationError(
                    "url_or_client: the URL of a RedisTokenStore must begin with redis:// or rediss://, with options that redis-py supports"
                    " and files that are readable"
                )
            self._make = make
        else:
            check_client(url_or_client)
            self._given = GivenClient(url_or_client)
        on_fork(self)

    async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
        """Return the stored value with its remaining lifetime, or None if there is none or it has expired."""
        reply = await self._run(LOAD, key)
        return None if reply is None else _read(*reply)

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        """Store a value for `kept.seconds_left`; return False, without a change, if a later lease's value is stored.

        Without a lease, store it only if the key has no value.
        """
        if isinstance(kept, StoredToken):
            token, rejection, age = kept.access_token, b"", kept.age_seconds
        else:
            token, rejection, age = "", orjson.dumps([kept.status, kept.error, kept.description]), 0.0
        fence = "" if lease is None else lease.fence
        left = _milliseconds(kept.seconds_left)
        return bool(await self._run(SAVE, key, fence, token, rejection, _milliseconds(age), left))

    async def discard(self, key: str, access_token: str, /) -> bool:
        """Delete the stored token if it is this one; return whether it was."""
        return bool(await self._run(DISCARD, key, access_token))

    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        """Return a lease that lasts `seconds`, or None while another holder has it. Does not wait."""
        owner = secrets.token_hex(16)
        try:
            fence = await self._run(ACQUIRE, key, owner, max(1, _milliseconds(seconds)), _REMEMBER_MILLISECONDS)
        except (Exception, asyncio.CancelledError):
            # The server may have granted the lease, or may do so yet: without a release all callers would wait for it.
            work = asyncio.get_running_loop().create_task(self._give_back(key, owner, seconds))
            self._going_back.add(work)
            work.add_done_callback(self._going_back.discard)
            raise
        return None if fence is None else Lease(key, owner, int(fence))

    async def renew(self, lease: Lease, seconds: float, /) -> bool:
        """Extend a lease to `seconds` from now; return False if it has been lost."""
        return bool(await self._run(RENEW, lease.key, lease.owner, max(1, _milliseconds(seconds))))

    async def release(self, lease: Lease, /) -> None:
        """Release a lease, unless it has been lost."""
        await self._run(RELEASE, lease.key, lease.owner)

    async def aclose(self) -> None:
        """Close the connections that this store has opened on the running event loop. Can be called repeatedly."""
        if not vars(self):  # the constructor has raised
            return
        running = asyncio.get_running_loop()
        if going := {work for work in self._going_back if work.get_loop() is running}:
            for work in going:
                work.cancel()
            await asyncio.wait(going)
        bound = self._bound.pop(running, None)
        if bound is not None:
            await bound.closer.aclose()

    def leave_process(self) -> object:
        """Leave all connections to the parent of this forked child. Returns what must not be freed here."""
        bound, going = dict(self._bound), set(self._going_back)
        self._bound.clear()
        self._going_back.clear()
        left = [each.leave_process() for each in bound.values()]
        if self._given is not None:
            left.append(self._given.leave_process())
        return bound, going, left

    async def _give_back(self, key: str, owner: str, seconds: float) -> None:
        """Release a lease as soon as the server responds; give up when the lease has expired anyway."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                await self._run(RELEASE, key, owner)
                return
            await asyncio.sleep(_GIVE_BACK_AGAIN_SECONDS)

    async def _run(self, script: str, key: str, *arguments: str | bytes | float) -> Any:
        # The braces keep the three keys in one hash slot of a Cluster.
        places = [f"{self._prefix}{{{key}}}:{what}" for what in ("kept", "lease", "fence")]
        client = self._given or self._bind()
        number = secrets.token_hex(8)
        reply = await client.eval(script, len(places), *places, *arguments, number)
        # A client passed by the caller may or may not decode replies.
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

    return InvalidResponse("the response belongs to another call: the connection has been dropped")


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _text(value: str | bytes) -> str:
    """Return text; a client passed by the caller may or may not decode replies."""
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
