"""The state of each clinic in a session, which all handles with equal credentials share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .._arguments import kinds
from .._concurrency.semaphore import FairSemaphore
from .._concurrency.weak_when_idle import WeakWhenIdle
from .._resilience.circuit_breaker import CircuitBreaker
from .._resilience.clinic_scope import ClinicScope
from .._tokens.cache import TokenCache, TokenSource
from ..config import BreakerPolicy
from ..credentials import ClinicCredentials

if TYPE_CHECKING:
    from ..models import ClinicStats

__all__ = ["ClinicRegistry", "ClinicState"]

#: A state that holds nothing to remember is dropped if there are more states than this, ...
MOST_IDLE = 512
#: ... or after it has been idle for this long.
IDLE_SECONDS = 6 * 3600.0


class ClinicState:
    """The token, slots, circuit breaker, pace and counters of one clinic. Handles with equal credentials share it."""

    __slots__ = (
        "__weakref__", "breaker", "bulkhead", "credentials", "failures", "forgotten", "owed", "retries", "scope",
        "tokens",
    )  # fmt: skip

    def __init__(
        self,
        credentials: ClinicCredentials,
        tokens: TokenCache,
        breaker: CircuitBreaker | None,
        bulkhead: FairSemaphore,
    ) -> None:
        self.credentials = credentials
        self.tokens = tokens
        self.breaker = breaker
        self.bulkhead = bulkhead
        self.scope = ClinicScope(credentials.display_name)  # its pace, and its requests
        self.forgotten = False
        self.owed = 0.0  # the retries that this clinic has taken from the retry budget
        self.retries = self.failures = 0

    def count_retry(self) -> None:
        """Count a retry."""
        self.retries += 1

    def count_failure(self) -> None:
        """Count a call that ended in an error."""
        self.failures += 1

    def idle_seconds(self, now: float, loop_time: float) -> float:
        """Return how long the state has held nothing to remember; negative if it holds a token, a limit or work in progress."""
        bulkhead, scope, breaker = self.bulkhead, self.scope, self.breaker
        if bulkhead.taken or bulkhead.waiting or scope.remembers(loop_time):
            return -1.0
        if breaker is not None and breaker.seconds_left(now):
            return -1.0
        return self.tokens.idle_seconds(now)

    def stats(self) -> ClinicStats:
        """Return its counters and the work in progress."""
        from ..models import ClinicStats

        return ClinicStats(
            requests=self.scope.sent,
            retries=self.retries,
            token_requests=self.tokens.requests,
            failures=self.failures,
            in_flight=self.bulkhead.taken,
            queued=self.bulkhead.waiting,
            breaker=self.breaker.state if self.breaker else None,
        )


class ClinicRegistry:
    """The states of all clinics, by their credentials.

    An idle state may be dropped. It then lives only as long as a handle of it. Its next token request adds it again.
    """

    def __init__(
        self,
        tokens: TokenSource,
        breaker: BreakerPolicy | None,
        connections_per_clinic: int,
    ) -> None:
        if breaker is not None:
            kinds(breaker=(breaker, BreakerPolicy))
        self._tokens = tokens
        self._breaker = breaker
        self._connections_per_clinic = connections_per_clinic
        self._states: WeakWhenIdle[ClinicCredentials, ClinicState] = WeakWhenIdle(self._is_idle, MOST_IDLE)
        tokens.on_start(self._token_requested)

    def _is_idle(self, state: ClinicState, many: bool) -> bool:
        try:
            loop_time = asyncio.get_running_loop().time()
        except RuntimeError:  # a handle can be created without a running loop: this is checked again later
            return False
        return state.idle_seconds(self._tokens.clock(), loop_time) >= (0.0 if many else IDLE_SECONDS)

    def _token_requested(self, tokens: TokenCache) -> None:
        """Add the state of these tokens again if it was dropped: a token request is the first thing worth remembering."""
        state = self._states.get(tokens.credentials)
        if state is not None and state.tokens is tokens:  # else it was forgotten
            self._states.keep(state.credentials, state)

    def __iter__(self) -> Iterator[ClinicState]:
        return iter(self._states.values())

    def get(self, credentials: ClinicCredentials) -> ClinicState | None:
        """Return the state of this clinic if there is one."""
        return self._states.get(credentials)

    def make(self, credentials: ClinicCredentials) -> ClinicState:
        """Return the state of this clinic, the same for equal credentials."""
        state = self._states.get(credentials)
        if state is None:
            breaker = CircuitBreaker(self._breaker) if self._breaker else None
            tokens, bulkhead = TokenCache(self._tokens, credentials), FairSemaphore(self._connections_per_clinic)
            state = ClinicState(credentials, tokens, breaker, bulkhead)
            self._states.keep(credentials, state)
        return state

    def live(self, state: ClinicState) -> ClinicState:
        """Return the state for the next call: this one, or a new one if the clinic was forgotten meanwhile."""
        return self.make(state.credentials) if state.forgotten else state

    def forget(self, credentials: ClinicCredentials) -> ClinicScope | None:
        """Drop the state and return its scope. Calls in progress keep it; handles use a new one from their next call on."""
        state = self._states.pop(credentials)
        if state is not None:
            state.forgotten = True
        return None if state is None else state.scope

    def leave_loop(self) -> None:
        """Drop what belongs to an event loop that no longer runs. Tokens stay."""
        for state in self:
            state.bulkhead = FairSemaphore(self._connections_per_clinic)
            state.scope.leave_loop()
            if state.breaker is not None:
                state.breaker.leave_loop()

    def clear(self) -> None:
        """Drop all states."""
        self._states.clear()

    def stats(self) -> dict[str, ClinicStats]:
        """Return the statistics by clinic name. If names are equal, the client id is added."""
        figures: dict[str, ClinicStats] = {}
        for state in self:
            name = state.credentials.display_name
            if name in figures:
                name = f"{name} ({state.credentials.client_id})"
            again = 2
            unique = name
            while unique in figures:
                unique, again = f"{name} #{again}", again + 1
            figures[unique] = state.stats()
        return figures
