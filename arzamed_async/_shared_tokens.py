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
from typing import Any, TypeVar

from ._notices import Notices
from ._protocol import LONGEST_LIFETIME_SECONDS, Grant, is_token
from ._tokens import FetchedGrant, Known
from .config import TokenPolicy
from .credentials import ClinicCredentials, SecretFromEnv, SecretFromFile
from .errors import CredentialsRejectedError
from .events import TokenStoreFailed
from .protocols import TokenStore
from .stored import Lease, StoredRejection, StoredToken

__all__ = ["SharedTokens", "store_key"]

R = TypeVar("R")
Ask = Callable[[], Awaitable[FetchedGrant]]

#: How long a lease lasts without a word from its holder: so long, at the most, others wait for one that is gone.
LEASE_SECONDS = 10.0
#: One answer of the store is waited for so long, and all that one token takes together so long.
ANSWER_SECONDS = 0.2
BUDGET_SECONDS = 0.25
#: A store that has failed is left alone so long.
REST_SECONDS = 5.0
#: Who waits for another's lease looks again after so long, drawn evenly.
LOOK_AGAIN_SECONDS = (0.03, 0.1)


def store_key(credentials: ClinicCredentials) -> str:
    """Return the digest under which a clinic's token is kept: of everything but the name.

    Of a secret by reference the reference goes into it, and nothing of the secret.
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


class _StoreFailedError(Exception):
    """The store gave no answer; never leaves this module."""


class _Budget:
    """What one token may still cost in the store, in seconds."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = BUDGET_SECONDS

    async def spend(self, work: Awaitable[R]) -> R:
        """Return what the store answers within the budget. Raises whatever it does, TimeoutError among that."""
        started = self._loop.time()
        try:
            async with asyncio.timeout(min(ANSWER_SECONDS, self._left)):
                return await work
        finally:
            self._left -= self._loop.time() - started


def _checked(answer: R, kind: Any) -> R:
    """Return a store's answer if it is what the protocol says: what is kept elsewhere may be anybody's."""
    if not isinstance(answer, kind):
        raise TypeError
    if isinstance(answer, StoredToken):
        life = answer.age_seconds + answer.seconds_left
        if not is_token(answer.access_token) or not 0 <= life <= LONGEST_LIFETIME_SECONDS or answer.age_seconds < 0:
            raise ValueError
    return answer


class SharedTokens:
    """What a session asks instead of the token endpoint where it has a store. `clocks`: monotonic and wall, in seconds."""

    def __init__(
        self,
        store: TokenStore,
        policy: TokenPolicy,
        clocks: tuple[Callable[[], float], Callable[[], float]],
        notices: Notices,
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock, self._wall_clock = clocks
        self._notices = notices
        self._failing = False
        self._rests_until = 0.0

    async def fetch(self, credentials: ClinicCredentials, known: Known | None, ask: Ask) -> FetchedGrant:
        """Return a token other than the known one: out of the store, or asked for and kept there.

        Raises what `ask` raises, and CredentialsRejectedError where another process has met that lately.
        """
        key = store_key(credentials)
        budget = _Budget()
        lease = None
        if asyncio.get_running_loop().time() >= self._rests_until:
            try:
                found = await self._look(key, known, budget)
                if found is None:
                    if known is not None and known.refused:
                        await self._answer(budget, lambda: self._store.discard(key, known.access_token))
                    found, lease = await self._lease(key, known, budget)
                if found is not None:
                    return found
            except _StoreFailedError as failed:
                lease = None
                self._failed(credentials.display_name, str(failed))
        if lease is None:
            return await ask()
        try:
            return await self._asked(lease, ask, budget)
        finally:
            await self._settle(credentials, budget, lambda: self._store.release(lease))

    async def _asked(self, lease: Lease, ask: Ask, budget: _Budget) -> FetchedGrant:
        rejection: CredentialsRejectedError | None = None
        fetched: FetchedGrant | None = None
        async with self._renewed(lease):
            try:
                fetched = await ask()
            except CredentialsRejectedError as error:
                rejection = error
        kept: StoredToken | StoredRejection
        if fetched is not None:
            age = self._clock() - fetched.asked_at
            kept = StoredToken(fetched.grant.access_token, age, fetched.grant.lifetime_seconds - age)
        else:
            assert rejection is not None
            seconds = self._policy.rejected_seconds
            kept = StoredRejection(rejection.status, rejection.error, rejection.description, seconds)
        await self._settle(None, budget, lambda: self._store.save(lease.key, kept, lease))
        if rejection is not None:
            raise rejection
        assert fetched is not None
        return fetched

    async def _look(self, key: str, known: Known | None, budget: _Budget) -> FetchedGrant | None:
        """Return the store's token if it helps. Raises CredentialsRejectedError if that is what is kept.

        One that is older than the known one does not help: what made an end of that has most likely made one of it, too.
        """
        found = await self._answer(budget, lambda: self._store.load(key), StoredToken | StoredRejection | None)
        if isinstance(found, StoredRejection):
            raise CredentialsRejectedError(
                "the token endpoint refused the clinic's credentials to another process",
                status=found.status,
                error=found.error,
                description=found.description,
            )
        if found is None or (known is not None and found.access_token == known.access_token):
            return None
        age = found.age_seconds
        life, asked_at = age + found.seconds_left, self._clock() - age
        if known is not None and asked_at <= known.asked_at:
            return None
        if found.seconds_left <= min(self._policy.margin_seconds, life / 4):
            return None
        return FetchedGrant(Grant(found.access_token, life), asked_at, self._wall_clock() - age)

    async def _lease(self, key: str, known: Known | None, budget: _Budget) -> tuple[FetchedGrant | None, Lease | None]:
        """Return a lease, or the token that another has got meanwhile; neither, where its holder takes too long."""
        gives_up_at = asyncio.get_running_loop().time() + LEASE_SECONDS
        while (
            lease := await self._answer(budget, lambda: self._store.acquire(key, LEASE_SECONDS), Lease | None)
        ) is None:
            if asyncio.get_running_loop().time() >= gives_up_at:
                return None, None
            await asyncio.sleep(random.uniform(*LOOK_AGAIN_SECONDS))  # noqa: S311 - it spreads load  # nosec B311
            budget = _Budget()  # what it costs to wait for another is not the store's doing
            if (found := await self._look(key, known, budget)) is not None:
                return found, None
        try:
            found = await self._look(key, known, budget)  # it may have come between the last look and the lease
        except BaseException:
            await self._settle(None, _Budget(), lambda: self._store.release(lease))
            raise
        if found is not None:
            await self._settle(None, budget, lambda: self._store.release(lease))
            return found, None
        return None, lease

    @contextlib.asynccontextmanager
    async def _renewed(self, lease: Lease) -> AsyncGenerator[None]:
        """Hold the lease while the request takes its time: it may be tried again and again."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE_SECONDS / 3)
                with contextlib.suppress(_StoreFailedError):
                    await self._answer(_Budget(), lambda: self._store.renew(lease, LEASE_SECONDS))

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _answer(self, budget: _Budget, work: Callable[[], Awaitable[R]], kind: Any = object) -> R:
        try:
            answer = _checked(await budget.spend(work()), kind)
        except Exception as error:  # noqa: BLE001 - whatever a store does, the call goes on
            failure = type(error).__name__
        else:
            self._failing = False
            return answer
        raise _StoreFailedError(failure)

    async def _settle(
        self, credentials: ClinicCredentials | None, budget: _Budget, work: Callable[[], Awaitable[object]]
    ) -> None:
        """Do what nobody waits for an answer to; a store that fails at it is noted and disturbs nothing."""
        try:
            await self._answer(budget, work)
        except _StoreFailedError as failed:
            self._failed("" if credentials is None else credentials.display_name, str(failed))

    def _failed(self, clinic: str, error: str) -> None:
        self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
        if not self._failing:
            self._failing = True
            self._notices.emit(TokenStoreFailed(clinic=clinic, error=error))
