"""What a caller may bring along."""

from __future__ import annotations

from typing import Protocol

from .events import Event

__all__ = ["Observer"]


class Observer(Protocol):
    """Anything that can be called with an Event. It runs on the event loop, so it must return at once.

    An exception it raises is logged by its class and goes no further.
    """

    def __call__(self, event: Event, /) -> None:
        """Take note of the event."""
