"""The clocks that govern the age of tokens and HTTP dates. Deadlines and sleeps use the event loop's time instead."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Clocks", "Moment"]

#: One point in time as both clocks show it, in seconds: the monotonic clock, the time of day.
Moment = tuple[float, float]


class Clocks:
    """Two clocks, both in seconds: one that never goes back, and the time of day."""

    __slots__ = ("monotonic", "wall")

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self.wall = wall

    def ago(self, seconds: float = 0.0) -> Moment:
        """Return the moment that is this many seconds past."""
        return self.monotonic() - seconds, self.wall() - seconds
