"""Tokens that processes have in common, by way of a TokenStore: one of them asks, and all have what it got.

A look at the store; where it holds no token that helps, the lease; with the lease another look (somebody may just have
given it back), then the request, whose outcome is kept before the lease is given back. Who gets no lease looks again
from time to time. The store is asked for nothing while the local token is good, and a store that fails or is slow is left
alone for a while: every process then asks for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable

from attrs import evolve

from .._concurrency.clocks import Clocks
from .._concurrency.lifetime import Lifetime
from .._telemetry import Observers
from ..config import TokenPolicy
from ..credentials import ClinicCredentials, SecretFromEnv, SecretFromFile
from ..errors import ConfigurationError, CredentialsRejectedError
from ..token_store import Lease, StoredRejection, StoredToken, TokenStore
from .guarded_store import GuardedStore, StoreBudget, StoreUnavailableError
from .oauth2 import IssuedToken
from .secrets import resolved

__all__ = ["SharedTokens", "store_key"]

Ask = Callable[[], Awaitable[IssuedToken]]

#: How long a lease lasts without a word from its holder: so long, at the most, others wait for one that is gone.
LEASE_SECONDS = 10.0
#: One whose holder is there, and says so, is waited for as long as the request's deadline lets, and no longer than this.
PATIENCE_SECONDS = 60.0
#: Who waits for another's lease looks again after so long, drawn evenly; each time a little later, up to the limit.
LOOK_AGAIN_SECONDS = (0.03, 0.1)
LOOK_AGAIN_FACTOR = 1.3
LOOK_AGAIN_MOST_SECONDS = 0.5


def store_key(credentials: ClinicCredentials) -> str:
    """Return the digest under which a clinic's token is kept: of everything but the name.

    Of a secret by reference the reference goes into it, and nothing of the secret: a token outlives its change.
    """
    secret = credentials.client_secret
    if isinstance(secret, SecretFromEnv):
        kept = ["env", secret.variable]
    elif isinstance(secret, SecretFromFile):
        kept = ["file", str(secret.path)]
    else:
        kept = ["text", str(secret)]
    identity = ["arzamed-async 1", credentials.client_id, credentials.token_url, credentials.scope]
    return hashlib.sha256(json.dumps([*identity, credentials.basic_encoding, *kept]).encode()).hexdigest()


async def _refusal_key(credentials: ClinicCredentials, key: str) -> str:
    """Return the digest under which it is kept that the credentials were refused: of the secret as well.

    Where a secret by reference is changed, one process has the new one and another still the old one for a while.
    """
    secret = credentials.client_secret
    if not isinstance(secret, str):
        with contextlib.suppress(ConfigurationError):  # the request will say so
            return hashlib.sha256(json.dumps([key, await resolved(secret)]).encode()).hexdigest()
    return key


def _patience(now: float, deadline: float | None) -> float:
    """Return until when another's lease is waited for: there has to be time left to ask oneself."""
    left = PATIENCE_SECONDS if deadline is None else min(deadline - now, PATIENCE_SECONDS)
    return now + max(left - LEASE_SECONDS, left / 2)


class SharedTokens:
    """What a session asks instead of the token endpoint where it has a store."""

    def __init__(
        self,
        store: TokenStore,
        policy: TokenPolicy,
        clocks: Clocks,
        observers: Observers,
        lifetime: Lifetime,
    ) -> None:
        self._store = GuardedStore(store, observers, lifetime)
        self._policy = policy
        self._clocks = clocks
        self._lifetime = lifetime

    async def fetch(
        self, credentials: ClinicCredentials, known: IssuedToken | None, ask: Ask, deadline: float | None
    ) -> IssuedToken:
        """Return a token other than the known one: out of the store, or asked for and kept there.

        Raises what `ask` raises, and CredentialsRejectedError where another process has met that lately. `deadline` is
        that of the request, in loop time.
        """
        key = store_key(credentials)
        budget = self._store.budget(credentials.display_name, key, await _refusal_key(credentials, key))
        if budget is None:
            return await ask()
        found = lease = None
        try:
            found = await self._look(budget, known)
            if found is None:
                if known is not None and known.rejected:
                    await self._store.discard(budget, known.access_token)
                found, lease = await self._lease(budget, known, deadline)
        except StoreUnavailableError:
            pass  # it has been told
        if found is not None:
            self._store.record_success(budget)
            return found
        return await (ask() if lease is None else self._asked(budget, lease, ask))

    async def _asked(self, budget: StoreBudget, lease: Lease, ask: Ask) -> IssuedToken:
        kept: StoredToken | StoredRejection | None = None
        try:
            async with self._renewed(budget, lease):
                fetched = await ask()
            age = self._clocks.monotonic() - fetched.requested_at.monotonic
            kept = StoredToken(fetched.access_token, age, fetched.lifetime_seconds - age)
        except CredentialsRejectedError as error:
            kept = StoredRejection(error.status, error.error, error.description, self._policy.rejected_seconds)
            raise
        finally:
            await self._settle(budget, lease, kept)
        return fetched

    async def _look(self, budget: StoreBudget, known: IssuedToken | None) -> IssuedToken | None:
        """Return the store's token if it helps. Raises CredentialsRejectedError if that is what is kept.

        One that is older than the known one does not help: what made an end of that has most likely made one of it, too.
        """
        found = await self._load(budget, budget.key)
        if found is None or (known is not None and found.access_token == known.access_token):
            return None
        age = found.age_seconds
        life, requested_at = age + found.seconds_left, self._clocks.ago(age)
        if known is not None and requested_at.monotonic <= known.requested_at.monotonic:
            return None
        if found.seconds_left <= min(self._policy.margin_seconds, life / 4):
            return None
        return IssuedToken(found.access_token, life, requested_at)

    async def _load(self, budget: StoreBudget, key: str) -> StoredToken | None:
        found = await self._store.load(budget, key)
        if isinstance(found, StoredRejection):
            raise CredentialsRejectedError(
                "the token endpoint refused the clinic's credentials to another process",
                status=found.status,
                error=found.error,
                description=found.description,
            )
        return found

    async def _lease(
        self, budget: StoreBudget, known: IssuedToken | None, deadline: float | None
    ) -> tuple[IssuedToken | None, Lease | None]:
        """Return a lease, or the token that another has got meanwhile; neither, where its holder takes too long."""
        loop = asyncio.get_running_loop()
        gives_up_at = _patience(loop.time(), deadline)
        least, most = LOOK_AGAIN_SECONDS
        while (lease := await self._store.acquire(budget, LEASE_SECONDS)) is None:
            if loop.time() >= gives_up_at:
                return None, None
            await asyncio.sleep(random.uniform(least, most))  # noqa: S311 - it spreads load  # nosec B311
            least, most = (min(each * LOOK_AGAIN_FACTOR, LOOK_AGAIN_MOST_SECONDS) for each in (least, most))
            budget.reset()  # what it costs to wait for another is not the store's doing
            if (found := await self._look(budget, known)) is not None:
                return found, None
        found = None
        try:
            found = await self._look(budget, known)  # it may have come between the last look and the lease
            if found is None and budget.refusal_key != budget.key:
                await self._load(budget, budget.refusal_key)
        except StoreUnavailableError:
            pass  # the lease is ours all the same, and the others wait for us
        except BaseException:
            await self._settle(budget, lease, None)
            raise
        if found is not None:
            await self._settle(budget, lease, None)
            return found, None
        return None, lease

    @contextlib.asynccontextmanager
    async def _renewed(self, budget: StoreBudget, lease: Lease) -> AsyncGenerator[None]:
        """Hold the lease while the request takes its time: it may be tried again and again."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE_SECONDS / 3)
                await self._store.renew(evolve(budget), lease, LEASE_SECONDS)

        task = self._lifetime.spawn(renew())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _settle(self, budget: StoreBudget, lease: Lease, kept: StoredToken | StoredRejection | None) -> None:
        """Keep what has come and give the lease back. What the budget has no time for goes on behind the caller's back."""
        own = evolve(budget)

        async def settle() -> None:
            if kept is not None:
                apart = isinstance(kept, StoredRejection) and own.refusal_key != own.key
                key, value, under = (own.refusal_key, kept, None) if apart else (own.key, kept, lease)
                await self._store.save(own, key, value, under)
            await self._store.release(own, lease)
            self._store.record_success(own)

        await asyncio.wait((self._lifetime.spawn_outliving(settle()),), timeout=max(0.0, budget.seconds_left))
