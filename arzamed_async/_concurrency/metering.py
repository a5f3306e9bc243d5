"""What the records of a stream take in memory: noted by the stream's reader for what keeps its records.

A context variable carries it, so that a generator of the caller's between the two is no obstacle.
"""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["METER", "Meter"]


class Meter:
    """About how much memory each of the last values takes, and the bytes received of the response they are from."""

    __slots__ = ("_delivered", "received_bytes", "value_bytes")

    def __init__(self) -> None:
        self.value_bytes = self.received_bytes = self._delivered = 0

    def note(self, value_bytes: int, received_bytes: int) -> None:
        """Note what each of the next values takes."""
        self.value_bytes, self.received_bytes = value_bytes, received_bytes

    def step_to(self, delivered_bytes: int) -> int:
        """Return the bytes of JSON that were delivered since the last step."""
        step, self._delivered = delivered_bytes - self._delivered, delivered_bytes
        return step

    def note_lists(self, count: int) -> None:
        """Note that the next values are lists of `count` of them."""
        self.value_bytes *= count


#: The meter of the one clinic whose records this task puts into a merge.
METER: ContextVar[Meter | None] = ContextVar("arzamed_async_meter", default=None)
