"""Shares tokens between processes through a TokenStore: one process requests a token, and all use it.

A process that needs a new token looks in the store first. If it finds none, it acquires the lease, looks again (another
process may just have stored one), sends the request, and stores the outcome before it releases the lease. If another
process has the lease, it looks again from time to time. The store is not called while the local token is valid. A store
that fails or is slow is not called for a while: each process then requests its own token.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable

from .._concurrency.clocks import Clocks
from .._concurrency.lifetime import Lifetime
from .._stored import MOST_REJECTION_SECONDS
from .._telemetry import Observers
from ..config import TokenPolicy
from ..credentials import ClinicCredentials, SecretFromEnv, SecretFromFile
from ..errors import ConfigurationError, CredentialsRejectedError, TokenError, TokenUnavailableError
from ..token_store import Lease, StoredRejection, StoredToken, TokenStore
from .guarded_store import GuardedStore, StoreBudget, StoreUnavailableError
from .oauth2 import IssuedToken, pause_of
from .secrets import SecretReader

__all__ = ["SharedTokens", "store_key"]

RequestToken = Callable[[], Awaitable[IssuedToken]]
#: What is stored, under which key, and under which lease.
StoreEntry = tuple[str, StoredToken | StoredRejection, Lease | None]

#: How long a lease lasts if it is not renewed. If its holder dies, other processes wait at most this long.
LEASE_SECONDS = 10.0
#: How long a process waits for a lease that is renewed, if the deadline of its request allows that.
PATIENCE_SECONDS = 60.0
#: The range of the random delay before a process looks again. Both limits grow by the factor each time, up to a maximum.
LOOK_AGAIN_SECONDS = (0.03, 0.1)
LOOK_AGAIN_FACTOR = 1.3
LOOK_AGAIN_MOST_SECONDS = 0.5
#: The number of forgotten clinics that are remembered, so that a stored pause does not apply to them.
MOST_LIFTED = 1000


def store_key(credentials: ClinicCredentials) -> str:
    """Return the key of a clinic's token in the store: a digest of all credentials except the name.

    If the secret is a reference, the digest includes the reference, not the secret: a token stays valid if the secret changes.
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


async def _refusal_key(credentials: ClinicCredentials, key: str, secrets: SecretReader) -> str:
    """Return the key of a rejection in the store. Its digest includes the secret itself, also that of a reference.

    If such a secret changes, one process may use the new one while another still uses the old one.
    """
    secret = credentials.client_secret
    if not isinstance(secret, str):
        with contextlib.suppress(ConfigurationError):  # the request raises it
            return hashlib.sha256(json.dumps([key, await secrets.read(secret)]).encode()).hexdigest()
    return key


def _digest(key: str, what: str) -> str:
    """Return the key of another entry of the clinic: a pause, or the record that a token was replaced."""
    return hashlib.sha256(json.dumps([key, what]).encode()).hexdigest()


def _refusal(error: TokenError, seconds: float) -> StoredRejection:
    return StoredRejection(error.status, error.error, error.description, min(seconds, MOST_REJECTION_SECONDS))


def _paused(pause: StoredRejection) -> TokenUnavailableError:
    return TokenUnavailableError(
        status=pause.status,
        error=pause.error,
        description=pause.description,
        retry_after_seconds=pause.seconds_left,
    )


def _patience(now: float, deadline: float | None) -> float:
    """Return the loop time until which to wait for the lease. It leaves enough time for a request of this process."""
    left = PATIENCE_SECONDS if deadline is None else min(deadline - now, PATIENCE_SECONDS)
    return now + max(left - LEASE_SECONDS, left / 2)


class SharedTokens:
    """Gets tokens from a store, and stores those that it requests. Used if the session has a token store."""

    def __init__(
        self,
        store: TokenStore,
        policy: TokenPolicy,
        clocks: Clocks,
        observers: Observers,
        lifetime: Lifetime,
        secrets: SecretReader,
    ) -> None:
        self._secrets = secrets
        self._store = GuardedStore(store, observers, lifetime)
        self._policy = policy
        self._clocks = clocks
        self._lifetime = lifetime
        self._lifted: dict[str, bool] = {}

    def forget(self, credentials: ClinicCredentials) -> None:
        """Ignore the pause that is stored for this clinic, if there is one, at its next request."""
        self._lifted[store_key(credentials)] = True
        if len(self._lifted) > MOST_LIFTED:
            del self._lifted[next(iter(self._lifted))]

    async def fetch(
        self, credentials: ClinicCredentials, known: IssuedToken | None, request: RequestToken, deadline: float | None
    ) -> IssuedToken:
        """Return a token other than `known`: from the store, or from `request`, whose token is then stored.

        Raises what `request` raises, and the rejection or pause that another process has stored. `deadline` is the
        deadline of the request, in loop time.
        """
        key = store_key(credentials)
        budget = self._store.budget(credentials.display_name, key, await _refusal_key(credentials, key, self._secrets))
        if budget is None:
            return await request()
        found = lease = None
        try:
            found = await self._look(budget, known)
            if found is None:
                found, lease = await self._lease(budget, known, deadline)
        except StoreUnavailableError:
            pass  # GuardedStore has reported it
        if found is not None:
            self._store.record_success(budget)
            return found
        return await (request() if lease is None else self._request(budget, lease, request))

    async def _request(self, budget: StoreBudget, lease: Lease, request: RequestToken) -> IssuedToken:
        entries: list[StoreEntry] = []
        rejected_seconds = self._policy.rejected_seconds
        try:
            async with self._renewed(budget, lease):
                fetched = await request()
            age = fetched.age(self._clocks.ago())
            token = StoredToken(fetched.access_token, age, fetched.lifetime_seconds - age)
            if token.seconds_left > 0 and token.is_valid():  # no process would use another one, such as one over 8 KiB
                entries.append((budget.key, token, lease))
            if budget.record is not None and budget.record[1]:
                entries.append((budget.record[0], StoredRejection(401, "", "", budget.record[1]), None))
        except CredentialsRejectedError as error:
            under = lease if budget.refusal_key == budget.key else None
            entries.append((budget.refusal_key, _refusal(error, rejected_seconds), under))
            raise
        except TokenUnavailableError as error:
            if (seconds := pause_of(error)) > 0:
                entries.append((_digest(budget.key, "pause"), _refusal(error, seconds), None))
            raise
        finally:
            await self._settle(budget, lease, *entries)
        return fetched

    async def _look(self, budget: StoreBudget, known: IssuedToken | None) -> IssuedToken | None:
        """Return the store's token if it is usable. Raises CredentialsRejectedError if a rejection is stored.

        A token older than the known one is not usable: it has most likely been revoked as well.
        """
        found = await self._load(budget, budget.key)
        if found is None or (known is not None and found.access_token == known.access_token):
            return None
        age = found.age_seconds
        life, requested_at = age + found.seconds_left, self._clocks.ago(age)
        if known is not None and requested_at[0] <= known.requested_at:
            return None
        if found.seconds_left <= min(self._policy.margin_seconds, life / 4):
            return None
        return IssuedToken(found.access_token, life, requested_at, stored=True)

    async def _load(self, budget: StoreBudget, key: str) -> StoredToken | None:
        found = await self._store.load(budget, key)
        if isinstance(found, StoredRejection):
            raise CredentialsRejectedError(
                "the token endpoint rejected the clinic's credentials (reported by another process)",
                status=found.status,
                error=found.error,
                description=found.description,
            )
        return found

    async def _lease(
        self, budget: StoreBudget, known: IssuedToken | None, deadline: float | None
    ) -> tuple[IssuedToken | None, Lease | None]:
        """Return the lease, or a token that another process stored meanwhile; neither if the lease's holder takes too long."""
        loop = asyncio.get_running_loop()
        gives_up_at = _patience(loop.time(), deadline)
        least, most = LOOK_AGAIN_SECONDS
        while (lease := await self._store.acquire(budget, LEASE_SECONDS)) is None:
            if loop.time() >= gives_up_at:
                return None, None
            await asyncio.sleep(random.uniform(least, most))  # noqa: S311 - it spreads load  # nosec B311
            least, most = (min(each * LOOK_AGAIN_FACTOR, LOOK_AGAIN_MOST_SECONDS) for each in (least, most))
            budget.reset()  # a wait for another process is not the time of the store
            if (found := await self._look(budget, known)) is not None:
                return found, None
        found = None
        try:
            found = await self._look(budget, known)  # it may have been stored between the last look and the lease
            if found is None:
                found = await self._held_back(budget, known)
        except StoreUnavailableError:
            pass  # this process has the lease all the same, and others wait for it
        except BaseException:
            await self._settle(budget, lease)
            raise
        if found is not None:
            await self._settle(budget, lease)
            return found, None
        return None, lease

    async def _held_back(self, budget: StoreBudget, known: IssuedToken | None) -> IssuedToken | None:
        """Check in the store, with the lease, whether a request is allowed. Return None if so.

        Raises the rejection or pause that is stored. Returns the known token if it must be kept although the API rejected
        it: all processes together replace one such token within `rejected_seconds`, and a second one if the API had
        accepted it before. For a rejected header it is one an hour, since HTTP 400 may have another reason.
        """
        if budget.refusal_key != budget.key:
            await self._load(budget, budget.refusal_key)
        if not self._lifted.pop(budget.key, False):
            pause = await self._store.load(budget, _digest(budget.key, "pause"))
            if isinstance(pause, StoredRejection) and (seconds := pause_of(refused := _paused(pause))) > 0:
                raise refused.not_sent(seconds)
        if known is None or not known.rejected:
            return None
        left = known.lifetime_seconds - known.age(self._clocks.ago())
        if left > min(self._policy.margin_seconds, known.lifetime_seconds / 4):
            names, seconds = [f"401 {number}" for number in range(1 + known.accepted)], self._policy.rejected_seconds
            if known.rejected == "header":
                names, seconds = ["header"], MOST_REJECTION_SECONDS
            for key in (_digest(budget.key, name) for name in names):
                if await self._store.load(budget, key) is None:
                    budget.record_under(key, min(seconds, MOST_REJECTION_SECONDS))
                    break
            else:
                return known.keep()
        await self._store.discard(budget, known.access_token)
        return None

    @contextlib.asynccontextmanager
    async def _renewed(self, budget: StoreBudget, lease: Lease) -> AsyncGenerator[None]:
        """Renew the lease while the request runs: retries may take longer than a lease lasts."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE_SECONDS / 3)
                await self._store.renew(budget.copy(), lease, LEASE_SECONDS)

        task = self._lifetime.spawn(renew())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _settle(self, budget: StoreBudget, lease: Lease, *entries: StoreEntry) -> None:
        """Store the outcome and release the lease. The caller waits within its budget; the rest continues in the background.

        A forked child that is cancelled with its copy of the parent's request leaves both to the parent.
        """
        if budget.forked:
            return
        own = budget.copy()

        async def settle() -> None:
            for key, value, under in entries:
                await self._store.save(own, key, value, under)
            await self._store.release(own, lease)
            self._store.record_success(own)

        await asyncio.wait((self._lifetime.spawn_outliving(settle()),), timeout=max(0.0, budget.seconds_left))
