"""The clocks that govern the age of tokens and HTTP dates. Deadlines and sleeps use the event loop's time instead."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

__all__ = ["Clocks"]


@frozen
class Clocks:
    """Two clocks, both in seconds: one that never goes back, and the time of day."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
