"""The clinics of one session: what all handles of equal credentials share, and what they have cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .._arguments import kinds
from .._concurrency.semaphore import FairSemaphore
from .._resilience.circuit_breaker import CircuitBreaker
from .._resilience.clinic_scope import ClinicScope
from .._tokens.cache import TokenCache, TokenSource
from ..config import BreakerPolicy
from ..credentials import ClinicCredentials

if TYPE_CHECKING:
    from ..models import ClinicStats

__all__ = ["ClinicRegistry", "ClinicState"]


class ClinicState:
    """What all handles of equal credentials share."""

    __slots__ = (
        "breaker", "bulkhead", "credentials", "failures", "forgotten", "owed", "retries", "scope",
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
        self.owed = 0.0  # retries, to the retry budget
        self.retries = self.failures = 0

    def count_retry(self) -> None:
        """Count a retry."""
        self.retries += 1

    def count_failure(self) -> None:
        """Count a call that ended in an error."""
        self.failures += 1

    def stats(self) -> ClinicStats:
        """Return what it has cost, and what is going on."""
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
    """The states by credentials."""

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
        self._states: dict[ClinicCredentials, ClinicState] = {}

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
            state = self._states[credentials] = ClinicState(credentials, tokens, breaker, bulkhead)
        return state

    def live(self, state: ClinicState) -> ClinicState:
        """Return the state for the next call: this one, or a new one if the clinic was forgotten meanwhile."""
        return self.make(state.credentials) if state.forgotten else state

    def forget(self, credentials: ClinicCredentials) -> ClinicScope | None:
        """Drop the state and return its scope; what runs on it goes on, handles take a new one at their next call."""
        state = self._states.pop(credentials, None)
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
        """Drop all."""
        self._states.clear()

    def stats(self) -> dict[str, ClinicStats]:
        """Return the figures by the clinics' names; clinics that share one are distinguished by the client id."""
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
