"""The buffer of a merge: it limits the number and the memory of the records that wait for the consumer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

__all__ = ["RecordBuffer"]

#: The memory limit of the buffer: the larger of the first number, and the second for each place. (Equal at 1,024 places.)
MOST_BYTES, MOST_BYTES_EACH = 16_777_216, 16_384


class RecordBuffer:
    """Counts the records of a merge and their memory. A record for which there is no room waits in a queue.

    There is room while the records held are within the limits, whatever the size of the next one. So a single record always
    fits, and no record overtakes another.
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
