"""The clocks that govern the age of tokens and HTTP dates. Deadlines and sleeps use the event loop's time instead."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

__all__ = ["Clocks", "Moment"]


@frozen
class Moment:
    """One point in time as both clocks show it, in seconds."""

    monotonic: float
    wall: float


@frozen
class Clocks:
    """Two clocks, both in seconds: one that never goes back, and the time of day."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]

    def ago(self, seconds: float = 0.0) -> Moment:
        """Return the moment that is this many seconds past."""
        return Moment(self.monotonic() - seconds, self.wall() - seconds)
