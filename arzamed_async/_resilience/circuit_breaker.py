"""A clinic's circuit breaker: stops requests to a server that keeps failing. A state machine, without I/O or a clock.

    closed --- failure_threshold failures in a row ---> open
    open   --- open_seconds later, the next call is let through as a probe ---> half open
    half open --- the probe succeeds ---> closed     --- it fails ---> open

(An asyncio library would be the wrong tool: those wrap a function, and some outcomes that count here belong to no
function, such as a deadline that passes while the server is silent.)
"""

from __future__ import annotations

from typing import Literal

from ..config import BreakerPolicy, BreakerState
from ..errors import ArzamedError, ConfigurationError, StatusError, TokenError, TransportError

__all__ = ["CircuitBreaker", "Verdict", "verdict"]

Verdict = Literal["healthy", "failing", "unknown"]


def verdict(error: BaseException | None, *, timed_out: bool) -> Verdict:
    """Return what the outcome of a call means for its server.

    `error` is None after a success; `timed_out` is true if the deadline passed while the response was awaited. Any
    response below 500 is a healthy server's, also one that cannot be decoded. Of a call that sent nothing to the
    server, was cancelled, or was sent over a connection closed while it was idle, nothing is known.
    """
    if isinstance(error, TransportError) and error.stale:
        return "unknown"
    if timed_out or isinstance(error, TransportError) or (isinstance(error, StatusError) and error.status >= 500):
        return "failing"
    if error is None or (isinstance(error, ArzamedError) and not isinstance(error, (TokenError, ConfigurationError))):
        return "healthy"
    return "unknown"


class CircuitBreaker:
    """Call `admit` before a request, and `record` its outcome afterwards, with the permit that `admit` returned.

    A permit is valid until the state changes: the outcome of an earlier request does not count for the new state.
    """

    __slots__ = ("_failures", "_policy", "_probe_at", "_turn", "state")

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._probe_at = 0.0
        self._turn = 0
        self.state: BreakerState = "closed"

    def admit(self, now: float) -> int | None:
        """Return a permit, or None if the request must not be sent. `now` is monotonic, in seconds."""
        if self.state == "half_open" or (self.state == "open" and now < self._probe_at):
            return None
        if self.state == "open":
            self._become("half_open")
        return self._turn

    def current_permit(self) -> int | None:
        """Return a permit to record the outcome of a request sent long ago; None unless the circuit is closed."""
        return self._turn if self.state == "closed" else None

    def seconds_left(self, now: float) -> float:
        """Return the seconds until a probe is let through; 0 if one is being sent."""
        return max(0.0, self._probe_at - now) if self.state == "open" else 0.0

    def record(self, permit: int, outcome: Verdict, now: float) -> None:
        """Count the outcome of a request. After an unknown one, the next call may be the probe."""
        if permit != self._turn:
            return
        if outcome == "healthy":
            self._failures = 0
            if self.state == "half_open":
                self._become("closed")
        elif outcome == "failing":
            self._failures += 1
            if self.state == "half_open" or self._failures >= self._policy.failure_threshold:
                self._failures = 0
                self._probe_at = now + self._policy.open_seconds
                self._become("open")
        elif self.state == "half_open":
            self._become("open")

    def leave_loop(self) -> None:
        """Forget a probe that was sent on an event loop that no longer runs: its outcome never comes."""
        if self.state == "half_open":
            self._become("open")

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._turn += 1
