"""A bound on how much goes on at once, with a fair queue before it. One for each clinic, one for the pool."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

__all__ = ["FairSemaphore"]


class FairSemaphore:
    """So many slots; who finds none free waits in turn. Use it from one event loop.

    A slot that is given back goes to the first in the queue and to nobody else, so that no newcomer overtakes.
    """

    __slots__ = ("_free", "_queue", "_slots")

    def __init__(self, slots: int) -> None:
        self._slots = self._free = slots
        self._queue: OrderedDict[asyncio.Future[None], None] | None = None

    @property
    def taken(self) -> int:
        """How many slots are taken."""
        return self._slots - self._free

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._queue or ())

    def acquire_nowait(self) -> bool:
        """Take a slot if one is free."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def acquire(self) -> None:
        """Wait in the queue, and take a slot when one is given."""
        if self._queue is None:
            self._queue = OrderedDict()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[turn] = None
        try:
            await turn
        except BaseException:
            self._queue.pop(turn, None)
            if turn.done() and not turn.cancelled():
                self.release()  # its turn had come in the very tick in which it was cancelled
            raise

    def release(self) -> None:
        """Give a slot back."""
        while self._queue:
            turn, _ = self._queue.popitem(last=False)
            if not turn.done() and not turn.get_loop().is_closed():
                turn.set_result(None)
                return
        self._free += 1
