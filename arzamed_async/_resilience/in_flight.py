"""A cap on the requests in flight, where the limit is one of concurrency. Numbers and times in, a cap out.

Such a limit shows in that refusals happen above every level at which requests were accepted lately. Then that level is
the cap; one more is tried every few seconds, and more where that is accepted.
"""

from __future__ import annotations

__all__ = ["InFlight"]

#: This number of refusals in succession, above every accepted level, shows a limit of concurrency; it is looked for
#: after a number of acceptances.
ABOVE = 3
OBSERVED = 30
#: A level counts for this long, and twice as long at most; after as long a higher one is tried.
LATELY_SECONDS = 5.0
#: A request that is older than this, and than some latencies, does not count: else a server that hangs stops all.
OLD_SECONDS = 1.0
OLD_LATENCIES = 4.0
LATENCY_WEIGHT = 0.1


class InFlight:
    """The requests sent since the scope is paced, and the levels at which they were sent."""

    __slots__ = (
        "_above", "_accepted", "_before", "_coming", "_lately", "_lately_from", "_latency", "_open", "_proved", "_step", "_tried_at",
        "cap",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self.cap: int | None = None
        self._open: dict[int, tuple[float, int]] = {}
        self._coming = 0
        self._latency = 0.0
        self._above = 0
        self._lately = self._before = 0  # the highest level accepted in this period, and in the one before
        self._lately_from = now
        self._accepted = 0
        self._proved = 0  # the highest level that is known to be accepted, while there is a cap
        self._step = 1
        self._tried_at = now

    def take(self) -> None:
        """A request has its turn, and will start soon."""
        self._coming += 1

    def give_back(self) -> None:
        """It does not start."""
        self._coming = max(0, self._coming - 1)

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
        if now - self._tried_at >= LATELY_SECONDS:
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
        if now - self._lately_from >= LATELY_SECONDS:
            self._before, self._lately, self._lately_from = self._lately, 0, now
        if level > max(self._lately, self._before):
            self._above = 0
        self._lately = max(self._lately, level)
        self._accepted += 1
        if level > self._proved:
            self._proved = level
            self._step *= 2

    def refused(self, level: int, now: float) -> bool:
        """Return whether a refusal is due to a limit of concurrency, and not to the rate."""
        if self._accepted < OBSERVED:
            return False
        if self.cap is not None:
            if level <= self._proved:
                return False
            self.cap, self._step, self._tried_at = self._proved, 1, now
            return True
        accepted = max(self._lately, self._before)
        self._above = self._above + 1 if level > accepted else 0
        if self._above < ABOVE:
            return False
        self.cap = self._proved = accepted
        self._step, self._tried_at = 1, now
        return True
