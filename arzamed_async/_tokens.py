"""The token cache of one clinic: one request at a time, shared by all who need it.

It is handed a coroutine function that fetches, and knows no HTTP. What it promises stands in
DESIGN.md, "Token cache, exactly". The life of a token, in time:

    asked for ........ refresh_at ........ wait_at ........ expires_at
       callers take it      | one refresh in    | callers wait for   | never sent
                            | the background    | the new one        |
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timezone
from typing import Any, Protocol, TypeVar

from attrs import Factory, define, frozen

from ._protocol import Grant, SentSecret
from .config import TokenPolicy
from .errors import ArzamedError, CredentialsRejectedError, TokenError
from .models import Token

__all__ = ["FetchedGrant", "HeldToken", "TokenCache"]

R = TypeVar("R")

#: How much longer than its request a failure is shared, so that a crowd arriving just behind it does not start anew.
FAILURE_SHARED_SECONDS = 1.0


@frozen
class FetchedGrant:
    """A grant and when it was asked for, by the monotonic and by the wall clock (seconds).

    `sent` is the secret it was asked for with, to be masked in whatever the API says.
    """

    grant: Grant
    asked_at: float
    asked_at_wall: float
    sent: SentSecret | None = None


@define(eq=False)
class HeldToken:
    """A token and the moments that rule its use, by the monotonic clock."""

    token: Token
    refresh_at: float
    wait_at: float
    expires_at: float
    sent: SentSecret | None
    from_401: bool  # fetched because its forerunner was answered 401
    blocked: bool = False  # was answered 401 itself, though new

    @property
    def authorization(self) -> str:
        """The value of the Authorization header (RFC 6750 section 2.1)."""
        return f"Bearer {self.token.access_token}"


@define(eq=False)
class _Flight:
    """One token request on its way. It belongs to the cache: nobody who waits for it can cancel it."""

    loop: asyncio.AbstractEventLoop
    awaited: bool = False  # somebody has waited for it: it is no mere background refresh
    over: bool = False
    waiters: list[asyncio.Future[HeldToken | ArzamedError]] = Factory(list[asyncio.Future[HeldToken | ArzamedError]])

    def outcome(self) -> asyncio.Future[HeldToken | ArzamedError]:
        """Return a future of the caller's own: cancelling it disturbs nobody."""
        self.awaited = True
        waiter: asyncio.Future[HeldToken | ArzamedError] = self.loop.create_future()
        self.waiters.append(waiter)
        return waiter

    def landed(self, task: asyncio.Task[HeldToken | ArzamedError]) -> None:
        """Hand the outcome to all who wait."""
        self.over = True  # also where the task was cancelled before its first step
        for waiter in self.waiters:
            if waiter.done():
                continue
            if task.cancelled():
                waiter.cancel()
            elif (bug := task.exception()) is not None:
                waiter.set_exception(bug)
            else:
                waiter.set_result(task.result())


class Spawn(Protocol):
    """Starts a task."""

    def __call__(self, work: Coroutine[Any, Any, R], /) -> asyncio.Task[R]:
        """Start it."""
        ...


class TokenCache:
    """Holds one clinic's token. Use it from one running event loop at a time. `spawn` starts a task."""

    __slots__ = (
        "_clock", "_failure", "_failure_until", "_fetch", "_flight", "_held", "_keep_until", "_next_refresh_at",
        "_policy", "_replacing", "_spawn",
    )  # fmt: skip

    def __init__(
        self,
        fetch: Callable[[], Awaitable[FetchedGrant]],
        policy: TokenPolicy,
        clock: Callable[[], float],
        spawn: Spawn = asyncio.create_task,
    ) -> None:
        self._spawn = spawn
        self._fetch = fetch
        self._policy = policy
        self._clock = clock
        self._held: HeldToken | None = None
        self._flight: _Flight | None = None
        self._failure: ArzamedError | None = None
        self._failure_until = 0.0
        self._next_refresh_at = 0.0
        self._replacing = False  # the token was answered 401: the next one is fetched for that
        self._keep_until = 0.0  # until then no token is replaced for a 401

    def current(self) -> HeldToken | None:
        """Return the token if it may be used without waiting, and see to its refresh; None if `get` is needed."""
        held = self._held
        if held is None:
            return None
        now = self._clock()
        if now < held.refresh_at:
            return held
        if now >= held.wait_at:
            return None
        if now >= self._next_refresh_at and not self._flying() and self._remembered(now) is None:
            self._start()
        return held

    async def get(self) -> HeldToken:
        """Return a token that has not expired; wait for one if need be. Raises the fetch's ArzamedError."""
        for _ in range(2):
            held = self.current()
            if held is not None:
                return held
            failure = self._remembered(self._clock())
            if failure is not None:
                raise copy.copy(failure)
            outcome = await (self._flying() or self._start()).outcome()
            if isinstance(outcome, ArzamedError):
                raise copy.copy(outcome)  # each waiter gets an instance, and so a traceback, of its own
            if self._clock() < outcome.expires_at:
                return outcome
        raise TokenError("two tokens in a row had expired before they could be used")

    def reject(self, held: HeldToken) -> bool:
        """Take note of a 401 for this token; return whether `get` may give a better one.

        A token that is no longer the current one costs nothing. One that was itself fetched for a 401
        stays for `rejected_seconds`: then it is not the token that is wrong.
        """
        if held is not self._held:
            return True
        now = self._clock()
        if now < self._keep_until:
            return False
        if held.from_401 and not held.blocked:
            held.blocked = True
            self._keep_until = now + self._policy.rejected_seconds
            return False
        self._held = None
        self._replacing = True
        return True

    def _remembered(self, now: float) -> ArzamedError | None:
        if self._failure is not None and now >= self._failure_until:
            self._failure = None
        return self._failure

    def _flying(self) -> _Flight | None:
        # A flight of a loop that no longer runs will never land: it is left behind.
        flight = self._flight
        here = flight is not None and not flight.over and flight.loop is asyncio.get_running_loop()
        return flight if here else None

    def _start(self) -> _Flight:
        flight = self._flight = _Flight(asyncio.get_running_loop())
        self._spawn(self._run(flight)).add_done_callback(flight.landed)
        return flight

    async def _run(self, flight: _Flight) -> HeldToken | ArzamedError:
        """Fetch; the outcome is returned, not raised, so that a failure nobody waits for is no loose end."""
        outcome: HeldToken | ArzamedError
        try:
            outcome = self._accept(await self._fetch(), flight)
        except ArzamedError as error:
            outcome = error.with_traceback(None)
        finally:
            if self._flight is flight:  # not a newer one's, on another loop
                self._flight = None
        if isinstance(outcome, ArzamedError):
            self._note_failure(outcome, awaited=flight.awaited)
        return outcome

    def _accept(self, fetched: FetchedGrant, flight: _Flight) -> HeldToken:
        policy = self._policy
        life = fetched.grant.lifetime_seconds
        expires_at = fetched.asked_at + life
        if self._clock() >= expires_at:
            raise TokenError("the token had expired before it arrived")
        jitter = random.random() * policy.jitter_seconds  # noqa: S311 - spreads load, keeps no secret
        wait_at = expires_at - min(policy.margin_seconds, life / 4)
        held = HeldToken(
            token=Token(fetched.grant.access_token, datetime.fromtimestamp(fetched.asked_at_wall + life, timezone.utc)),
            refresh_at=min(wait_at, expires_at - min(policy.refresh_ahead_seconds + jitter, life / 2)),
            wait_at=wait_at,
            expires_at=expires_at,
            sent=fetched.sent,
            from_401=self._replacing,
        )
        if self._flight is flight:  # else it comes from a loop that had stopped, and there is a newer one
            self._held = held
            self._replacing = False
            self._failure = None
            self._next_refresh_at = 0.0
        return held

    def _note_failure(self, error: ArzamedError, *, awaited: bool) -> None:
        now = self._clock()
        self._next_refresh_at = now + self._policy.refresh_retry_seconds
        if isinstance(error, CredentialsRejectedError):
            self._failure, self._failure_until = error, now + max(self._policy.rejected_seconds, FAILURE_SHARED_SECONDS)
        elif awaited:
            self._failure, self._failure_until = error, now + FAILURE_SHARED_SECONDS
