"""The rate of one throttled scope. Times and outcomes in, a rate and the moment of the next request out.

Between two onsets of refusals a server lets through exactly what its limit allows, whatever burst it tolerates. So
the limit is measured, not guessed. The rate stays a little below it, and returns to it along CUBIC's curve (RFC 9438).

    searching --- refused, and enough was let through to measure ---> steady
    steady    --- refused again and again, nothing accepted -------> drought
    drought   --- the first request accepted ----------------------> as before
    steady    --- more let through than the limit explains --------> searching: it has risen
"""

from __future__ import annotations

import math

__all__ = ["LONGEST_PAUSE_SECONDS", "KnownRate", "Pace"]

FIRST_RATE = 20.0
LEAST_RATE = 0.5
#: A Retry-After is remembered for no longer than this: it may be a mistake.
LONGEST_PAUSE_SECONDS = 3600.0
#: A search does not go beyond this multiple of what was let through.
MOST_AHEAD = 4.0
#: A measurement needs at least this many requests let through.
MEASURED_REQUESTS = 6
#: What was let through is the limit, or less where no burst is tolerated; the rate was the limit, or more. It is taken
#: to be half-way, and at most this multiple of what was let through.
MOST_OVERSHOOT = 1.25
#: What is left of the rate: after a search, after a refusal in the steady state, and where too few were let through
#: since the last one to measure.
AFTER_SEARCH = 0.9
AFTER_REFUSAL = 0.8
AFTER_ROW = 0.7
#: The return along CUBIC's curve takes 7 seconds at 10 requests a second, 10 at 500.
RETURN_SECONDS = 7.0
RETURN_POWER = 1 / 10
#: The measured limit explains what was let through since its onset, and a little more; whatever goes beyond proves that
#: the limit has risen.
UNEXPLAINED_SHARE = 1.02
UNEXPLAINED_REQUESTS = 3.0
#: A refusal that has cut nothing for this time, and this number of requests, was not an onset.
DOUBT_SECONDS = 0.05
DOUBT_REQUESTS = 4
#: A measurement shorter than this, after a pause, is not trusted.
SHORT_SECONDS = 2.0
#: Refusals fewer than this, with few let through since the last cut, are what was under way then.
FEW_REFUSALS = 3
#: A row of this many refusals, for this long, is a drought.
DROUGHT_REFUSALS = 4
DROUGHT_SECONDS = 1.0
#: Meanwhile the server is probed so often.
PROBE_RATE = 1.0
#: A timer of an event loop may be late by so much: what was missed meanwhile may be sent at once.
LATE_SECONDS = 0.005
#: A known limit keeps a little more distance than it has to: else 21 requests start within a second at 20 a second.
KNOWN_DISTANCE = 1.01


class KnownRate:
    """A limit that is known, and so neither learned nor exceeded."""

    __slots__ = ("_distance", "rate", "ready_at")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._distance = KNOWN_DISTANCE / rate
        self.ready_at = -math.inf  # the moment of the next request

    def take(self, now: float, *, late: bool = False) -> None:
        """A request starts; the next one comes a distance later, of its own moment if a timer was late."""
        late = late and now - self.ready_at < LATE_SECONDS
        self.ready_at = (self.ready_at if late else now) + self._distance

    def seconds_until(self, ahead: int, now: float) -> float:
        """Return how long a newcomer waits with `ahead` before it."""
        return max(0.0, self.ready_at - now) + ahead * self._distance


class Pace:
    """The pace of one scope. `sent` is the number of a request, in the order in which they are sent."""

    __slots__ = (
        "_barrier", "_before", "_dry", "_goal", "_grown_seconds", "_let_through", "_low", "_mark", "_most", "_onset_at",
        "_paused", "_peak", "_resumed", "_row", "_row_at", "_search_from",
        "closed_until", "last_refused_at", "next_at", "rate", "searching", "started_at",
    )  # fmt: skip

    def __init__(self, now: float, sent: int) -> None:
        self.rate = FIRST_RATE
        self.searching = True
        self.next_at = now
        self.closed_until = now
        self.last_refused_at = self.started_at = now
        self._barrier = sent
        self._onset_at = now
        self._paused = 0.0
        self._let_through = 0
        self._before = 0  # let through when the rate was cut last, of those counted since the onset
        self._goal = self._low = self.rate  # where the rate returns to, and where from
        self._most = 0.0  # the limit as it was measured, at most; 0: never yet
        self._resumed = False  # after a drought
        self._search_from: tuple[float, int] | None = None
        self._mark: tuple[float, int] | None = None  # the first refusal since the last cut
        self._grown_seconds = 0.0
        self._row = 0
        self._row_at = now
        self._dry = False
        self._peak = self.rate

    def ready_at(self) -> float:
        """Return the moment of the next request."""
        return max(self.next_at, self.closed_until)

    def seconds_until(self, ahead: int, now: float) -> float:
        """Return how long a newcomer waits with `ahead` before it; a rate that is still searched for promises nothing."""
        if self.searching:
            return max(0.0, self.closed_until - now)
        return max(0.0, self.ready_at() - now) + ahead / self.rate

    def take(self, now: float, *, waiting: bool, late: bool = False) -> None:
        """A request starts. With more of them waiting, the rate is what holds them up, and may grow."""
        distance = 1.0 / self.rate
        self._let_through += 1
        if waiting and not self.searching and not self._row:
            self._grow(now, min(now - self.next_at + distance, 2 * distance))
        late = late and now - self.next_at < LATE_SECONDS
        self.next_at = (self.next_at if late else now) + distance

    def give_back(self) -> None:
        """The request that was to start last does not."""
        self._let_through -= 1
        self.next_at -= 1.0 / self.rate

    def void(self) -> None:
        """A request that had its turn before a cut waits for another."""
        self._let_through = max(0, self._let_through - 1)

    def accepted(self, now: float, sent: int, newest: int, *, waiting: bool) -> None:
        """A response that was not a refusal."""
        self._row = 0
        if self._dry:
            self._dry = False
            self._mark = self._search_from = None
            self._barrier = newest
            self._goal, self.searching = self._peak, not self._most
            self._resumed = True
            self._set(self._peak)
            self._low, self._grown_seconds = self.rate, 0.0
        if sent <= self._barrier:
            return
        if self.searching and waiting:
            if self._search_from is None:
                self._search_from = now, self._let_through - 1
            at, before = self._search_from
            delivered = (self._let_through - before) / max(1 / self.rate, now - at)
            self._set(min(self.rate + min(6.0, self.rate / 8), max(self.rate, MOST_AHEAD * delivered)))

    def refused(self, now: float, sent: int) -> None:
        """A refusal that may be this scope's."""
        self.last_refused_at = now
        if self._row == 0:
            self._row_at, self._peak = now, self._goal if self._most else self.rate
        self._row += 1
        self._dry = self._dry or (self._row >= DROUGHT_REFUSALS and now - self._row_at > DROUGHT_SECONDS)
        if sent > self._barrier:
            self._let_through -= 1
            if self._mark is None or now - self._mark[0] > DOUBT_SECONDS + DOUBT_REQUESTS / self.rate:
                self._mark = now, self._let_through

    def only_refuses(self) -> bool:
        """Return whether the last few responses were all refusals."""
        return self._row >= DROUGHT_REFUSALS

    def plausible(self) -> bool:
        """Return whether a refusal is what this rate would lead to expect."""
        return self._let_through >= MEASURED_REQUESTS and (self.searching or self.rate >= AFTER_SEARCH * self._goal)

    def cut(self, now: float, sent: int, newest: int, *, row: bool = False) -> bool:
        """The refusal of this request was this scope's; `newest` is the number last sent.

        Requests sent before the last cut prove nothing about the rate since. Returns whether the rate was cut.
        """
        if sent <= self._barrier:
            return False
        onset_at, let_through = self._mark or (now, self._let_through)
        self._mark = None
        if let_through < MEASURED_REQUESTS and not self.searching and not row and self._row < FEW_REFUSALS:
            return False  # what the burst had left was overdrawn when the rate was cut
        self._barrier = newest
        self._cut(onset_at, let_through)
        return True

    def search(self) -> None:
        """The refusals were not due to the rate: look for its limit again."""
        self.searching = True
        self._mark = self._search_from = None

    def close(self, now: float, seconds: float) -> None:
        """Nothing is sent before this time has passed."""
        until = now + seconds
        if until > self.closed_until:
            self._paused += until - max(now, self.closed_until)
            self.closed_until = until

    def _cut(self, onset_at: float, let_through: int) -> None:
        """Cut the rate; the limit was used up at this moment, with `let_through` requests let through since the last onset."""
        seconds = onset_at - self._onset_at - self._paused
        measured = let_through >= MEASURED_REQUESTS and seconds > 0
        if measured:
            limit = let_through / seconds
            self._goal = (limit + self.rate) / 2
            if not self.searching or self._resumed:
                self._goal = min(self._goal, MOST_OVERSHOOT * limit)
            if self._paused and seconds < SHORT_SECONDS:
                self._goal = min(self._goal, AFTER_ROW * self.rate)  # what a pause had saved was let through as well
            self._most = (let_through + 1) / seconds
            self._peak = self._goal
            self._set((AFTER_SEARCH if self.searching else AFTER_REFUSAL) * self._goal)
        else:
            self._set((AFTER_ROW if let_through > self._before else 0.5) * self.rate)
        self._low = min(self._goal, self.rate)
        self._grown_seconds = 0.0
        self._before = 0
        if measured:
            self._onset_at, self._paused = onset_at, 0.0
            self._let_through -= let_through
            self.searching = False
        else:
            self._before = let_through
        self._search_from = None

    def _grow(self, now: float, seconds: float) -> None:
        self._grown_seconds += seconds
        seconds_back = RETURN_SECONDS * (self._goal / 10) ** RETURN_POWER
        since = self._grown_seconds / seconds_back - 1
        depth = self._goal - self._low if since < 0 else (1 - AFTER_REFUSAL) * self._goal
        self._set(max(self.rate, self._goal + depth * since**3))
        explained = self._most * (now - self._onset_at)
        if self._let_through > UNEXPLAINED_SHARE * explained + UNEXPLAINED_REQUESTS:
            self.searching = True

    def _set(self, rate: float) -> None:
        self.rate = max(LEAST_RATE, rate, min(PROBE_RATE, self._peak / 4) if self._dry else 0.0)
