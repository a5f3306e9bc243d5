"""The limits of a fake Arzamed: of the rate of requests, and of those in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from attrs import define, field

from ._clinics import FakeClinic
from ._script import On, Refusal

__all__ = ["ConcurrencyLimit", "Limits", "RateLimit"]


@define(eq=False)
class RateLimit:
    """A token bucket: `burst` requests at once, and then this rate."""

    requests_per_second: float
    burst: float
    refusal: Refusal
    _left: float = field(init=False)
    _at: float | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._left = self.burst

    def has_room(self, now: float) -> bool:
        """Return whether a request may pass now."""
        if self._at is not None:
            self._left = min(self.burst, self._left + max(0.0, now - self._at) * self.requests_per_second)
        self._at = now
        return self._left >= 1

    def enter(self) -> None:
        """Count a request that passes."""
        self._left -= 1

    def leave(self) -> None:
        """A request that has ended still counts."""


@define(eq=False)
class ConcurrencyLimit:
    """At most this number of requests in flight."""

    requests: int
    refusal: Refusal
    _open: int = field(init=False, default=0)

    def has_room(self, now: float) -> bool:
        """Return whether a request may pass now."""
        return self._open < self.requests

    def enter(self) -> None:
        """Count a request that passes."""
        self._open += 1

    def leave(self) -> None:
        """Count one that has ended."""
        self._open -= 1


Limit = RateLimit | ConcurrencyLimit


class _LongerTime:
    """Seconds that pass by real time and by a clock: of each step the longer one counts.

    A client waits in real time, so a clock that stands still must not stop the limits; one that a test advances, or
    whose day passes in a moment, need not wait for them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clocks = (time.monotonic, clock)
        self._read = [each() for each in self._clocks]
        self._passed = 0.0

    def __call__(self) -> float:
        before, self._read = self._read, [each() for each in self._clocks]
        self._passed += max(0.0, *(now - then for now, then in zip(self._read, before, strict=True)))
        return self._passed


class Limits:
    """All limits. A request passes where every one that applies has room. Any thread may change them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._time = _LongerTime(clock)
        self._limits: dict[tuple[type, On, FakeClinic | None], Limit] = {}

    def set(self, limit: Limit, on: On, clinic: FakeClinic | None) -> None:
        """Set a limit for the requests of one clinic, or one for those of all together; it replaces one of its kind."""
        with self._lock:
            self._limits[type(limit), on, clinic] = limit

    def clear(self, clinic: FakeClinic | None) -> None:
        """Drop the limits of this clinic; with None, all."""
        with self._lock:
            kept = {key: limit for key, limit in self._limits.items() if clinic is not None and key[2] is not clinic}
            self._limits = kept

    def enter(self, on: On, clinic: FakeClinic | None) -> Refusal | list[Limit]:
        """Return the refusal of a request, or the limits that it has to leave when it ends."""
        if not self._limits:
            return []
        with self._lock:
            entered = [
                limit for (_, kind, owner), limit in self._limits.items() if kind == on and owner in (None, clinic)
            ]
            now = self._time()
            for limit in entered:
                if not limit.has_room(now):
                    return limit.refusal
            for limit in entered:
                limit.enter()
            return entered

    def leave(self, entered: list[Limit]) -> None:
        """Count the end of a request."""
        if entered:
            with self._lock:
                for limit in entered:
                    limit.leave()
