"""A clock that only moves when a test advances it."""

from __future__ import annotations

from ._script import number

__all__ = ["ManualClock"]


class ManualClock:
    """Seconds since the epoch, moved by `advance`: give the same one to `FakeArzamed(clock=)` and to the session's clocks.

        clock = ManualClock()
        async with FakeArzamed(clock=clock) as fake:
            session = ArzamedSession(base_url=fake.base_url, clock=clock, wall_clock=clock)
            ...
            clock.advance(3600)  # every token has expired, here and there

    Two of them play a computer that sleeps, or whose time is set: advance the one given as `wall_clock` alone.

    It starts at the beginning of 2030 (UTC). Deadlines and waits do not use it: they use the event loop's time.

    Args:
        start: The time at the start, since the epoch: the beginning of 2030 (UTC).
    """

    _now = 0.0

    def __init__(self, start: float = 1_893_456_000.0) -> None:
        self._now = start

    def __call__(self) -> float:
        """Return the time."""
        return self._now

    def __repr__(self) -> str:
        return f"<ManualClock {self._now:.3f}>"

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Args:
            seconds: By how much.

        Raises:
            ConfigurationError: It is negative, or no number.
        """
        self._now += number("seconds", seconds)
