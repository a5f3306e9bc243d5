"""The token store for many machines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from arzamed_async import ConfigurationError, Lease, SecretFromEnv, SecretFromFile, StoredRejection, StoredToken
from arzamed_async._extras import hides_arguments

from ._extras import require
from ._forks import on_fork
from ._redis_client import BoundClient, GivenClient
from ._redis_errors import is_refusal, is_wrong_server, remedy
from ._redis_source import Source
from ._scripts import ACQUIRE, BAD, DISCARD, DROP, LOAD, RELEASE, RENEW, SAVE

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

__all__ = ["RedisTokenStore"]

logger = logging.getLogger("arzamed_async")

#: Lease numbers are stored for longer than any token lives: `expires_in` is capped at a day.
_REMEMBER_MILLISECONDS = 2 * 86_400_000
#: The delay before the release of a lease is retried, if the server did not respond.
_GIVE_BACK_AGAIN_SECONDS = 0.3


class RedisTokenStore:
    """A TokenStore in Redis, for many machines (extra `redis`; server version 5 or newer).

        store = RedisTokenStore("rediss://:password@redis.example:6380/0?ssl_ca_certs=/etc/ssl/redis.pem")
        async with ArzamedSession(token_store=store) as session:
            ...
        await store.aclose()

    A clinic has up to three keys, each with a time to live. A key consists of `prefix`, a digest and a purpose. `kept`
    holds the token until it expires, `fence` the number of the latest lease for two days, and `lease` the process that
    requests the token now. A rejection or a required pause has a digest of its own. The values contain no secret and no
    client id, but the access token is not encrypted. Anyone who can read the keys can use it until it expires, and
    anyone who can write them can replace it.

    With a URL, the store has at most 8 connections for each event loop. A call times out after 0.5 s (`socket_timeout`; a
    session waits 0.2 s) and reconnects once. Certificates are read when the store is created. A client that you pass
    keeps its own limits and is never closed.

    After a failed call, the next call opens new connections and resolves the host name again, since a failover may have
    happened. If a server reports that it is a replica or not ready, the call is retried once, at once.

    Times are by the server's clock. If the response to `acquire` is lost, or the call is cancelled, the lease is released
    as soon as the server responds again. A response that belongs to another call raises redis-py's InvalidResponse, and
    the connection is dropped. An invalid value counts as missing: it is deleted and logged once.

    A store with a URL that has a password, or with a client, cannot be pickled. A store with a reference is pickled as
    that reference.

    Raises ConfigurationError for an invalid URL, and for a login or permission that the server refuses. Calls raise
    TimeoutError, and redis-py's other errors unchanged.

    Args:
        url_or_client: A URL, a reference to one (`SecretFromEnv`, `SecretFromFile`), or a `redis.asyncio` client (of
            Sentinel or a Cluster, too) with 6 connections or more. Schemes are `redis`, `rediss` (TLS), `unix`, `valkey`
            and `valkeys`; the query holds redis-py's options. A reference is read at the first call on an event loop,
            and again if the server rejects the login.
        prefix: The beginning of each key.
    """

    @hides_arguments
    def __init__(
        self,
        url_or_client: str | SecretFromEnv | SecretFromFile | Redis | RedisCluster,
        *,
        prefix: str = "arzamed:token:",
    ) -> None:
        require("redis", "redis")
        self._source = Source(url_or_client)
        if not isinstance(prefix, str):
            raise ConfigurationError(f"prefix must be text, not {type(prefix).__name__}")
        self._prefix = prefix
        self._bound: dict[asyncio.AbstractEventLoop, BoundClient] = {}
        self._going_back: set[asyncio.Task[None]] = set()
        self._retired: dict[asyncio.Task[None], BoundClient] = {}
        self._told = False
        on_fork(self)

    def __reduce__(self) -> tuple[Callable[..., RedisTokenStore], tuple[str | SecretFromEnv | SecretFromFile]]:
        """A copy in another process has connections of its own. Raises ConfigurationError if it would hold a password."""
        if not vars(self):  # the constructor has raised
            raise TypeError("cannot pickle a RedisTokenStore that was not initialized")
        return partial(type(self), prefix=self._prefix), (self._source.picklable(),)

    async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
        """Return the stored value with its remaining lifetime, or None if there is none or it has expired."""
        reply = await self._run(LOAD, key)
        if reply is None:
            return None
        value = None if reply == BAD else _read(*reply)
        if value is None:
            if reply != BAD:
                await self._run(DROP, key, reply[0], reply[1])
            if not self._told:
                self._told = True
                logger.warning("a value in the token store's Redis is not valid: it is ignored and deleted")
        return value

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        """Store a value for `kept.seconds_left`; return False, without a change, if a later lease's value is stored.

        Without a lease, store it only if the key has no value. A value that `is_valid` rejects is never stored.
        """
        if not kept.is_valid():
            return False
        if isinstance(kept, StoredToken):
            token, rejection, age = kept.access_token, "", kept.age_seconds
        else:
            token, rejection, age = "", json.dumps([kept.status, kept.error, kept.description]), 0.0
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
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, ConfigurationError) or is_refusal(error):
                raise
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
        retired = {work: each for work, each in self._retired.items() if work.get_loop() is running}
        if going := {work for work in self._going_back if work.get_loop() is running} | retired.keys():
            for work in going:
                work.cancel()
            await asyncio.wait(going)
        for bound in (self._bound.pop(running, None), *retired.values()):
            if bound is not None:
                await bound.closer.aclose()
        if self._source.client is not None:
            await self._source.client.end_calls()

    def leave_process(self) -> object:
        """Leave all connections to the parent of this forked child. Returns what must not be freed here."""
        bound, going, retired = dict(self._bound), set(self._going_back), dict(self._retired)
        for each in (self._bound, self._going_back, self._retired):
            each.clear()
        left = [each.leave_process() for each in (*bound.values(), *retired.values())]
        if self._source.client is not None:
            left.append(self._source.client.leave_process())
        return bound, going, retired, left

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
        number = secrets.token_hex(8)
        call = len(places), *places, *arguments, number
        client, reply, failure = await self._call(script, *call)
        if failure is not None and is_wrong_server(failure):
            if isinstance(client, GivenClient):
                await client.drop_idle()
            client, reply, failure = await self._call(script, *call)
        if failure is not None:
            advice = remedy(failure, cluster=client.cluster)
            raise failure if advice is None else ConfigurationError(advice)
        # A client passed by the caller may or may not decode replies.
        parts: list[Any] = reply if isinstance(reply, list) else []  # pyright: ignore[reportUnknownVariableType]
        if len(parts) == 2 and parts[0] in (number, number.encode()):
            return parts[1]
        await client.drop_idle()
        raise _not_this_calls()

    async def _call(self, script: str, *rest: Any) -> tuple[BoundClient | GivenClient, Any, Exception | None]:
        """Return the client, and what it returns or raises. After a failure the next call has new connections."""
        client = self._source.client or await self._bind()
        began = time.monotonic()
        try:
            # A call to load a token is harmless, whenever the server runs it.
            return client, await client.eval(script, *rest, finish=script is LOAD), None
        except (Exception, asyncio.CancelledError) as error:
            if client.has_lost(error, time.monotonic() - began):
                self._look_again(client, error)
            if isinstance(error, asyncio.CancelledError):
                raise
            return client, None, error

    def _look_again(self, client: BoundClient | GivenClient, error: BaseException) -> None:
        """Give the next call new connections: the name of the server may lead to another one by now.

        A reference to the URL is read again then: the password may have been replaced.
        """
        if isinstance(client, GivenClient):
            client.look_again()
            return
        loop = asyncio.get_running_loop()
        new_url = remedy(error, cluster=False) is not None
        if self._bound.get(loop) is client and (new_url or client.is_connected()):
            del self._bound[loop]
            work = loop.create_task(client.retire())
            self._retired[work] = client
            work.add_done_callback(lambda _: self._retired.pop(work, None))

    async def _bind(self) -> BoundClient:
        """Return the client of the running event loop."""
        loop = asyncio.get_running_loop()
        bound = self._bound.get(loop)
        if bound is None:
            make = await self._source.maker()
            for old in [each for each in self._bound if each.is_closed()]:
                del self._bound[old]
            for work in [each for each in self._retired if each.get_loop().is_closed()]:
                del self._retired[work]
            bound = self._bound.get(loop)  # another call may have created it meanwhile
            if bound is None:
                bound = self._bound[loop] = BoundClient(make())
        return bound


def _not_this_calls() -> Exception:
    from redis.exceptions import InvalidResponse

    return InvalidResponse("the response belongs to another call: the connection has been dropped")


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _read(
    token: str | bytes, rejection: str | bytes, age: str | bytes, left: int
) -> StoredToken | StoredRejection | None:
    """Return a value, None if it is not valid. A client passed by the caller may or may not decode replies."""
    seconds = left / 1000
    value: StoredToken | StoredRejection
    try:
        if rejection:
            status, error, description = json.loads(rejection)
            value = StoredRejection(status, error, description, seconds)
        else:
            text = token if isinstance(token, str) else token.decode()
            value = StoredToken(text, max(0.0, int(age) / 1000), seconds)
    except (ValueError, TypeError, RecursionError):
        return None
    return value if value.is_valid() else None
