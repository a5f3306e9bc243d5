"""A cap on the requests in flight, where the limit is one of concurrency. Numbers and times in, a cap out.

Such a limit shows in that refusals happen above the levels at which requests are usually accepted. (Not above all of them:
a response under way leaves room at the server, and not yet here.) Then the level below them is the cap; one more is tried
every few seconds, and more where that is accepted.
"""

from __future__ import annotations

from collections import deque

from .pace import Pace

__all__ = ["InFlight"]

#: This number of refusals in succession, above the usual levels, shows a limit of concurrency; it is looked for after a
#: number of acceptances.
ABOVE = 3
OBSERVED = 30
#: The usual levels are those of the last acceptances, without the highest tenth.
LATELY = 128
UNUSUAL_SHARE = 0.1
#: A higher level is tried after this time. It is the new cap after a number of acceptances without a refusal.
TRY_SECONDS = 5.0
PROOF = 20
#: A request that is older than this, and than some latencies, does not count: else a server that hangs stops all.
OLD_SECONDS = 1.0
OLD_LATENCIES = 4.0
LATENCY_WEIGHT = 0.1


class InFlight:
    """The requests sent since the scope is paced, and the levels at which they were sent."""

    __slots__ = (
        "_above", "_accepted", "_coming", "_lately", "_latency", "_open", "_proof", "_proved", "_step", "_tried_at",
        "cap",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self.cap: int | None = None
        self._open: dict[int, tuple[float, int]] = {}
        self._coming = 0
        self._latency = 0.0
        self._above: list[int] = []  # the levels of refusals above the usual ones, in succession
        self._lately: deque[int] = deque(maxlen=LATELY)  # the levels accepted lately
        self._accepted = 0
        self._proved = 0  # the highest level that is known to be accepted, while there is a cap
        self._proof = 0  # the number accepted above it since the last refusal there
        self._step = 1
        self._tried_at = now

    def take(self) -> None:
        """A request has its turn, and will start soon."""
        self._coming += 1

    def give_back(self) -> None:
        """It does not start."""
        self._coming = max(0, self._coming - 1)

    def leave_loop(self) -> None:
        """Nothing is under way on a new event loop."""
        self._open.clear()
        self._coming = 0

    def start(self, sent: int, now: float) -> None:
        """A request is sent."""
        self.give_back()
        self._open[sent] = now, self._level(now) + 1

    def _level(self, now: float) -> int:
        oldest = now - max(OLD_SECONDS, OLD_LATENCIES * self._latency)
        old = 0
        for at, _ in self._open.values():  # in the order of sending
            if at >= oldest:
                break
            old += 1
        return len(self._open) - old

    def full(self, now: float) -> bool:
        """Return whether the next request has to wait for another to end."""
        if self.cap is None:
            return False
        if now - self._tried_at >= TRY_SECONDS:
            self.cap = self._proved + self._step
            self._tried_at = now
        return self._level(now) + self._coming >= self.cap

    def ended(self, sent: int) -> int | None:
        """A request has ended, and was not accepted. Returns the level at which it was sent."""
        started = self._open.pop(sent, None)
        return started[1] if started is not None else None

    def accepted(self, sent: int, now: float) -> None:
        """A request was accepted at its level."""
        started = self._open.pop(sent, None)
        if started is None:
            return
        at, level = started
        self._latency += LATENCY_WEIGHT * (now - at - self._latency)
        self._lately.append(level)
        self._accepted += 1
        if level > self._proved:
            self._proof += 1
            if self._proof >= PROOF:
                self._proved, self._proof = level, 0
                self._step *= 2

    def refused(self, level: int, now: float, pace: Pace) -> bool:
        """Return whether a refusal is due to a limit of concurrency, and not to the rate; then `pace` was cut wrongly."""
        if self._accepted < OBSERVED:
            return False
        if self.cap is not None:
            if level <= self._proved:
                return False
            self.cap, self._step, self._tried_at, self._proof = self._proved, 1, now, 0
            return True
        usual = sorted(self._lately)[int(len(self._lately) * (1 - UNUSUAL_SHARE))]
        if level <= usual:
            self._above.clear()
            return False
        self._above.append(level)
        if len(self._above) < ABOVE:
            return False
        self.cap = self._proved = min(self._above) - 1
        self._step, self._tried_at = 1, now
        pace.search()
        return True
