"""The records of a merge that wait for its consumer: their number is limited, and so is the memory that they take."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

__all__ = ["RecordBuffer"]

#: Records are let in until those held take more than this, or, in a buffer of more records than 1,024, the second for each.
MOST_BYTES, MOST_BYTES_EACH = 16_777_216, 16_384


class RecordBuffer:
    """A number of places, and the memory of the records in them. A record that finds no room waits in a queue.

    Whether there is room does not depend on the size of the next record: one alone always fits, and none is overtaken.
    """

    __slots__ = ("_free", "_held_bytes", "_most_bytes", "_queue")

    def __init__(self, places: int) -> None:
        self._free = places
        self._most_bytes = max(MOST_BYTES, MOST_BYTES_EACH * places)
        self._held_bytes = 0
        self._queue: OrderedDict[asyncio.Future[None], int] = OrderedDict()

    def enter_nowait(self, size: int) -> bool:
        """Take a place for a record of `size` bytes if there is room; return whether there was."""
        if self._free and self._held_bytes <= self._most_bytes:
            self._free -= 1
            self._held_bytes += size
            return True
        return False

    async def enter(self, size: int) -> None:
        """Wait in the queue for a place."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[turn] = size
        try:
            await turn
        except BaseException:
            self._queue.pop(turn, None)
            if turn.done() and not turn.cancelled():
                self.leave(size)  # it was given a place in the same tick in which it was cancelled
            raise

    def leave(self, size: int) -> None:
        """Return a place: a record of `size` bytes has been taken. The next ones in the queue enter."""
        self._free += 1
        self._held_bytes -= size
        while self._queue:
            turn, wanted = next(iter(self._queue.items()))
            if not (turn.done() or turn.get_loop().is_closed()):
                if not self.enter_nowait(wanted):
                    return
                turn.set_result(None)
            del self._queue[turn]
