"""A fair semaphore: it limits how much runs at a time, and serves waiters in order. One for each clinic, one for the pool."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

__all__ = ["FairSemaphore"]


class FairSemaphore:
    """A number of slots; a task that finds none free waits in a queue. Use it from one event loop.

    A released slot goes to the first in the queue, so that no newcomer overtakes it.
    """

    __slots__ = ("_free", "_queue", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = self._free = slots
        self._queue: OrderedDict[asyncio.Future[None], None] | None = None

    @property
    def taken(self) -> int:
        """How many slots are in use."""
        return self.slots - self._free

    @property
    def waiting(self) -> int:
        """How many tasks wait for a slot."""
        return len(self._queue or ())

    def acquire_nowait(self) -> bool:
        """Take a slot if one is free; return whether it did."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def acquire(self) -> None:
        """Wait in the queue for a slot."""
        if self._queue is None:
            self._queue = OrderedDict()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[turn] = None
        try:
            await turn
        except BaseException:
            self._queue.pop(turn, None)
            if turn.done() and not turn.cancelled():
                self.release()  # it was given a slot in the same tick in which it was cancelled
            raise

    def release(self) -> None:
        """Return a slot."""
        while self._queue:
            turn, _ = self._queue.popitem(last=False)
            if not turn.done() and not turn.get_loop().is_closed():
                turn.set_result(None)
                return
        self._free += 1
