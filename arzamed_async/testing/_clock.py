"""A clock that only moves when a test advances it."""

from __future__ import annotations

from ._script import number

__all__ = ["ManualClock"]


class ManualClock:
    """A clock that moves only by `advance`. Pass the same one to `FakeArzamed(clock=)` and to both clocks of the session.

        clock = ManualClock()
        async with FakeArzamed(clock=clock) as fake:
            session = ArzamedSession(base_url=fake.base_url, clock=clock, wall_clock=clock)
            ...
            clock.advance(3600)  # every token has expired, here and there

    Deadlines and waits do not use it: they use the event loop's time. To simulate a computer that sleeps, or a change of
    the system time, use two clocks and advance only the one passed as `wall_clock`.

    Args:
        start: The time at the start, in seconds since the epoch. The default is the beginning of 2030 (UTC).
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
            seconds: The time to advance by.

        Raises:
            ConfigurationError: `seconds` is negative or not a number.
        """
        self._now += number("seconds", seconds)
