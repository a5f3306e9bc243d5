"""A clinic's circuit breaker: whether to ask a server that keeps failing. A state machine; the time is handed in.

    closed --- so many failures in a row ---> open
    open   --- open_seconds later, the next call is let through as a probe ---> half open
    half open --- the probe succeeds ---> closed     --- it fails ---> open

(An asyncio library would be the wrong tool: the ones there are wrap a function, and the outcomes that count
here, a deadline that passes while the server is silent among them, are no function's.)
"""

from __future__ import annotations

from ..config import BreakerPolicy
from ..events import BreakerState

__all__ = ["Breaker"]


class Breaker:
    """Ask `admit` before a request, and say afterwards what came of it, with the permit that was given.

    A permit is worth something only until the state changes: what began before says nothing about what is now.
    """

    __slots__ = ("_failures", "_policy", "_probe_at", "_turn", "state")

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._probe_at = 0.0
        self._turn = 0
        self.state: BreakerState = "closed"

    def admit(self, now: float) -> int | None:
        """Return a permit, or None: do not ask. `now` is monotonic, in seconds."""
        if self.state == "half_open" or (self.state == "open" and now < self._probe_at):
            return None
        if self.state == "open":
            self._become("half_open")
        return self._turn

    def now(self) -> int | None:
        """Return a permit for what is told of requests long under way: while the circuit is closed, they count."""
        return self._turn if self.state == "closed" else None

    def seconds_left(self, now: float) -> float:
        """Return how long it will be before a probe is let through; 0 if one is out."""
        return max(0.0, self._probe_at - now) if self.state == "open" else 0.0

    def succeeded(self, permit: int) -> None:
        """The server has answered."""
        if permit != self._turn:
            return
        self._failures = 0
        if self.state == "half_open":
            self._become("closed")

    def failed(self, permit: int, now: float) -> None:
        """The server has given no answer, or one that tells of its own failure."""
        if permit != self._turn:
            return
        self._failures += 1
        if self.state == "half_open" or self._failures >= self._policy.failure_threshold:
            self._failures = 0
            self._probe_at = now + self._policy.open_seconds
            self._become("open")

    def untold(self, permit: int) -> None:
        """The request was given up, or never sent: nothing is known. The next call may be the probe."""
        if permit == self._turn and self.state == "half_open":
            self._become("open")

    def new_loop(self) -> None:
        """A probe that was out on an event loop that has gone will never tell."""
        self.untold(self._turn)

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._turn += 1
