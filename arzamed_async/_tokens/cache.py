"""The token cache of one clinic: one token request at a time, shared by all callers that need a token.

It does no I/O: `TokenSource.fetch` gets the token. The life of a token, in time:

    requested ........ refresh_at ........ wait_at ........ expires_at
       callers take it      | one refresh in    | callers wait for   | never sent
                            | the background    | the new one        |

Its age is the larger one of two clocks: a monotonic clock can stop while the computer sleeps, the wall clock can be set.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from .._concurrency.single_flight import Describe, Flight, SingleFlight
from .._masked import Masked
from ..config import TokenPolicy
from ..credentials import ClinicCredentials
from ..errors import ArzamedError, CredentialsRejectedError, TokenError, TokenUnavailableError
from .oauth2 import IssuedToken, Rejected, pause_of

if TYPE_CHECKING:
    from ..models import Token

__all__ = ["CachedToken", "TokenCache", "TokenSource"]

#: For this time after a failed request (without Retry-After), callers get its error, and send no request.
FAILURE_SHARED_SECONDS = 1.0
NEVER = -math.inf  # one object, since there are many clinics
HEADER_SECONDS = 3600.0  # one token of a clinic is replaced for its header in this time


class CachedToken:
    """A token, with the times at which it is refreshed and no longer used, by the monotonic clock."""

    __slots__ = ("_token", "accepted", "blocked", "from_401", "issued", "refresh_at", "refresh_at_wall", "wait_at")

    def __init__(self, issued: IssuedToken, refresh_at: float, wait_at: float, *, from_401: bool) -> None:
        self.issued = issued
        self.refresh_at = refresh_at
        self.refresh_at_wall = refresh_at - issued.requested_at + issued.requested_at_wall  # the same by the wall clock
        self.wait_at = wait_at
        self.from_401 = from_401  # the API rejected the token before it, with HTTP 401 or for its header
        self.accepted = False  # the API has responded to it with success
        self.blocked = False  # fetched for a 401, and the API responded to it with HTTP 401 as well
        self._token: Token | None = None

    @property
    def expires_at(self) -> float:
        """The time of its expiry by the monotonic clock. Computed, to save memory: it is rarely needed."""
        return self.issued.requested_at + self.issued.lifetime_seconds

    def accept(self) -> None:
        """Record that the API accepted it. A token that replaced a rejected one is an ordinary token from then on."""
        self.accepted = True

    @property
    def rejection(self) -> str:
        """A sentence for the error of an HTTP 401 to this token: was it accepted before?"""
        if not self.accepted:
            return "The API rejected a newly issued token"
        return "The API has accepted this token before. Such tokens are replaced twice within rejected_seconds at most"

    def moment(self, now: float, wall: float) -> float:
        """Return the time to compare with `refresh_at` and others: `now`, or later if more time passed by the wall clock."""
        return max(now, wall - self.refresh_at_wall + self.refresh_at)

    # Methods instead of properties: a call is faster.

    def headers(self) -> Mapping[str, str]:
        """Return a request's headers (RFC 6750 section 2.1). They are not stored, so that memory holds the token once."""
        return {"Authorization": Masked("Bearer " + self.issued.text)}

    def token(self) -> Token:
        """Return the token as callers receive it, created lazily."""
        if self._token is None:
            from ..models import Token

            expires_at = self.issued.requested_at_wall + self.issued.lifetime_seconds
            self._token = Token(self.issued.text, datetime.fromtimestamp(expires_at, timezone.utc))
        return self._token


class TokenSource:
    """The parts that all token caches of a session share.

    `fetch` gets a new token. It takes the credentials, the known token, and what to call for each request and to describe it.
    """

    __slots__ = ("_started", "clock", "fetch", "flights", "policy", "wall_clock")

    def __init__(
        self,
        fetch: Callable[[ClinicCredentials, IssuedToken | None, Callable[[], None], Describe], Awaitable[IssuedToken]],
        policy: TokenPolicy,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        flights: SingleFlight | None = None,
    ) -> None:
        self.fetch = fetch
        self.policy = policy
        self.clock = clock
        self.wall_clock = wall_clock
        self.flights = SingleFlight() if flights is None else flights
        self._started: Callable[[TokenCache], None] | None = None

    def on_start(self, started: Callable[[TokenCache], None]) -> None:
        """Register a function that is called with the cache before each request."""
        self._started = started

    def start(
        self, cache: TokenCache, work: Callable[[Flight[CachedToken]], Awaitable[CachedToken]]
    ) -> Flight[CachedToken]:
        """Start the request of a token for this cache."""
        if self._started is not None:
            self._started(cache)
        return self.flights.start(cache, work)


class TokenCache:
    """Holds one clinic's token. Use it from one running event loop at a time."""

    __slots__ = (
        "_failure", "_failure_until", "_held", "_keep_until", "_next_refresh_at", "_rejected", "_replaced_at", "_source",
        "credentials", "requests",
    )  # fmt: skip

    def __init__(self, source: TokenSource, credentials: ClinicCredentials) -> None:
        self._source = source
        self.credentials = credentials
        self.requests = 0  # sent to the token endpoint
        self._held: CachedToken | None = None
        self._failure: ArzamedError | None = None
        self._failure_until = NEVER  # until then the failure is shared; without one, when the last request failed
        self._next_refresh_at = 0.0
        self._rejected: CachedToken | None = None  # dropped, because the API rejected it: the next one replaces it
        self._keep_until = NEVER  # until then no token is replaced for a 401
        self._replaced_at = NEVER  # when the last token was replaced for a 401

    def current(self) -> CachedToken | None:
        """Return the token if it can be used at once, None if `get` has to be awaited. May start a refresh in the background."""
        held = self._held
        if held is None:
            return None
        source = self._source
        now = source.clock()
        if now < held.refresh_at and source.wall_clock() < held.refresh_at_wall:
            return held
        if held.moment(now, source.wall_clock()) >= held.wait_at:
            return None
        if now >= self._next_refresh_at and not self._source.flights.under_way(self) and self._remembered(now) is None:
            self._start()
        return held

    async def get(self) -> CachedToken:
        """Return a valid token; wait for a new one if there is none. Raises the ArzamedError of the request."""
        held = self.current()
        if held is not None:
            return held
        for _ in range(2):
            failure = self._remembered(self._source.clock())
            if failure is not None:
                raise failure
            flight = self._source.flights.under_way(self) or self._start()
            held = await flight.wait()
            if not self._expired(held):
                return held
            held = self.current()  # a newer flight may have brought one
            if held is not None:
                return held
        raise TokenError("two tokens in a row expired before they could be used")

    def _expired(self, held: CachedToken) -> bool:
        return held.moment(self._source.clock(), self._source.wall_clock()) >= held.expires_at

    def reject(self, held: CachedToken) -> bool:
        """Record that the API responded to this token with HTTP 401; return whether `get` may return a better one.

        If the token is no longer the current one, nothing changes. If it was itself requested after a 401, and the API has
        not accepted it since, it is kept for `rejected_seconds`: a new token would not help. In any case, at most two
        tokens are replaced within `rejected_seconds`.
        """
        if held is not self._held:
            return True
        now, seconds = self._source.clock(), self._source.policy.rejected_seconds
        if now < self._keep_until:
            return False
        if held.from_401 and not held.accepted and not held.blocked:
            held.blocked = True
            self._keep_until = now + seconds
            return False
        if now < self._replaced_at + seconds:  # the second
            self._keep_until = self._replaced_at + seconds
        self._drop(held, "401", now)
        return True

    def reject_header(self, held: CachedToken) -> bool:
        """Do the same for 400 or 431, for which the header may be the reason. A replacement stays (an hour if from a store)."""
        if held is not self._held:
            return True
        now = self._source.clock()
        stays = held.from_401 and not (held.issued.stored and now >= self._replaced_at + HEADER_SECONDS)
        if stays or now < self._keep_until:
            return False
        self._drop(held, "header", now)
        return True

    def _drop(self, held: CachedToken, reason: Rejected, now: float) -> None:
        self._replaced_at = now
        held.issued.note_rejection(reason, accepted=held.accepted)
        self._held = None
        self._rejected = held

    def _remembered(self, now: float) -> ArzamedError | None:
        """Return a copy of the remembered failure for one caller; None if there is none any more."""
        failure, left = self._failure, self._failure_until - now
        if failure is None or left <= 0:
            self._failure = None
            return None
        if isinstance(failure, TokenUnavailableError) and pause_of(failure):
            return failure.not_sent(left)
        return copy.copy(failure)

    def _start(self) -> Flight[CachedToken]:
        return self._source.start(self, self._fetch)

    def idle_seconds(self, now: float) -> float:
        """Return how long the cache has held nothing to remember (token, failure, request); negative if it holds something."""
        source = self._source
        if source.flights.under_way(self):
            return -1.0
        wall, tokens = source.wall_clock(), [held for held in (self._held, self._rejected) if held is not None]
        until = max(self._failure_until, self._keep_until, self._replaced_at + source.policy.rejected_seconds)
        seconds = min([now - until, *(held.moment(now, wall) - held.expires_at for held in tokens)])
        return 0.0 if math.isinf(seconds) else seconds  # it was never used

    def _known(self) -> IssuedToken | None:
        if self._rejected is not None:
            return self._rejected.issued
        return None if self._held is None else self._held.issued

    def _count_request(self) -> None:
        self.requests += 1

    async def _fetch(self, flight: Flight[CachedToken]) -> CachedToken:
        source = self._source
        try:
            issued = await source.fetch(self.credentials, self._known(), self._count_request, flight.describe)
            if self._slept_through(issued):
                known = self._known() or issued
                issued = await source.fetch(self.credentials, known, self._count_request, flight.describe)
            return self._accept(issued, flight)
        except Exception as error:
            self._note_failure(error, flight)
            raise

    def _slept_through(self, issued: IssuedToken) -> bool:
        """Return whether the token expired during its request by the wall clock only: the computer slept, or was set."""
        now, life = self._source.clock(), issued.lifetime_seconds
        return now - issued.requested_at < life <= issued.age((now, self._source.wall_clock()))

    def _accept(self, issued: IssuedToken, flight: Flight[CachedToken]) -> CachedToken:
        policy = self._source.policy
        life = issued.lifetime_seconds
        expires_at = issued.requested_at + life
        jitter = random.random() * policy.jitter_seconds  # noqa: S311 - it spreads load  # nosec B311
        wait_at = expires_at - min(policy.margin_seconds, life / 4)
        refresh_at = min(wait_at, expires_at - min(policy.refresh_ahead_seconds + jitter, life / 2))
        held = CachedToken(
            issued=issued,
            refresh_at=refresh_at,
            wait_at=wait_at,
            from_401=self._rejected is not None,
        )
        if self._expired(held):
            raise TokenError("the token expired before it arrived")
        if self._source.flights.is_newest(flight):  # else its loop had stopped, and a later loop has started another
            self._held = held
            self._rejected = None
            self._failure = None
            self._next_refresh_at = 0.0
        return held

    def _note_failure(self, error: Exception, flight: Flight[CachedToken]) -> None:
        if not self._source.flights.is_newest(flight):  # see `_accept`
            return
        now, policy, paused = self._source.clock(), self._source.policy, pause_of(error)
        self._next_refresh_at = now + max(policy.refresh_retry_seconds, paused)
        self._failure_until = now
        if isinstance(error, CredentialsRejectedError):
            self._failure, self._failure_until = error, now + max(policy.rejected_seconds, FAILURE_SHARED_SECONDS)
        elif isinstance(error, ArzamedError) and (flight.awaited or paused):
            self._failure, self._failure_until = error, now + max(paused, FAILURE_SHARED_SECONDS)
