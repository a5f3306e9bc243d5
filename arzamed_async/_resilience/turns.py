"""The queue of one origin: which request is next. Clinics take turns; within a clinic, the oldest request goes first.

First tries and repeats wait in two lanes, and a lot decides between them: in strict alternation they fall in step
with a limit that tolerates no burst, and then one lane is always refused.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import OrderedDict, deque
from collections.abc import Callable

from .clinic_scope import ClinicScope

__all__ = ["Turns", "Waiter"]


class Waiter:
    """A call that waits. `turn` becomes True when it may send, False when it has to leave the queue."""

    __slots__ = ("clinic", "status", "turn")

    def __init__(self, clinic: ClinicScope, turn: asyncio.Future[bool], status: int) -> None:
        self.clinic = clinic
        self.turn = turn
        self.status = status  # of the refusal that it repeats


class _Lane:
    """The clinics of one lane: those awake in turn, the others by the moment of their next request."""

    __slots__ = ("_asleep", "_awake", "_number", "queues", "size")

    def __init__(self) -> None:
        self.queues: dict[ClinicScope, OrderedDict[Waiter, None]] = {}
        self.size = 0
        self._awake: deque[ClinicScope] = deque()
        self._asleep: list[tuple[float, int, ClinicScope]] = []
        self._number = 0

    def add(self, waiter: Waiter) -> None:
        queue = self.queues.get(waiter.clinic)
        if queue is None:
            queue = self.queues[waiter.clinic] = OrderedDict()
            self._awake.append(waiter.clinic)
        queue[waiter] = None
        self.size += 1

    def remove(self, waiter: Waiter) -> bool:
        """Remove a waiter that gives up. Its clinic keeps its place: an empty queue is passed over."""
        queue = self.queues.get(waiter.clinic)
        if queue is None or waiter not in queue:
            return False
        del queue[waiter]
        self.size -= 1
        return True

    def pop(self, now: float) -> Waiter | None:
        while self._asleep and self._asleep[0][0] <= now:
            self._awake.append(heapq.heappop(self._asleep)[2])
        while self._awake:
            clinic = self._awake.popleft()
            queue = self.queues[clinic]
            if not queue:
                del self.queues[clinic]
                continue
            if (ready := clinic.ready_at()) > now:
                self._number += 1
                heapq.heappush(self._asleep, (ready, self._number, clinic))
                continue
            waiter, _ = queue.popitem(last=False)
            self.size -= 1
            self._awake.append(clinic)
            return waiter
        return None

    def next_at(self) -> float | None:
        return self._asleep[0][0] if self._asleep else None

    def wake(self) -> None:
        """Look at all clinics again: the moments of some have changed."""
        self._awake.extend(clinic for _, _, clinic in sorted(self._asleep))
        self._asleep.clear()


class Turns:
    """The two lanes."""

    __slots__ = ("_first", "_lot", "_repeats")

    def __init__(self, lot: Callable[[], float] = random.random) -> None:
        """Draw lots from `random`, which Python seeds again in a forked child: copies with a state of their own go in step."""
        self._first, self._repeats = _Lane(), _Lane()
        self._lot = lot

    def __len__(self) -> int:
        return self._first.size + self._repeats.size

    def clear(self) -> None:
        """Forget all waiters."""
        self._first, self._repeats = _Lane(), _Lane()

    def add(self, waiter: Waiter, *, repeat: bool) -> None:
        """Put a waiter at the end of its clinic's queue."""
        (self._repeats if repeat else self._first).add(waiter)

    def remove(self, waiter: Waiter) -> bool:
        """Remove a waiter; False if it is in no queue any more."""
        return self._first.remove(waiter) or self._repeats.remove(waiter)

    def pop(self, now: float) -> tuple[Waiter, bool] | None:
        """Return the waiter whose turn it is, and whether it repeats; None while no clinic is ready."""
        repeats_first = self._repeats.size > 0 and (self._first.size == 0 or self._lot() < 0.5)
        for repeat in (repeats_first, not repeats_first):
            waiter = (self._repeats if repeat else self._first).pop(now)
            if waiter is not None:
                return waiter, repeat
        return None

    def next_at(self) -> float | None:
        """Return the moment at which a clinic becomes ready; None if none waits for one."""
        moments = [at for lane in (self._first, self._repeats) if (at := lane.next_at()) is not None]
        return min(moments, default=None)

    def wake(self) -> None:
        """Look at all clinics again: the moments of some have changed."""
        self._first.wake()
        self._repeats.wake()

    def ahead(self, clinic: ClinicScope, *, repeat: bool) -> int:
        """Return how many go before a newcomer of this clinic, at least: the others' turns among them."""
        lane = self._repeats if repeat else self._first
        own = len(lane.queues.get(clinic, ()))
        return min(lane.size, own * len(lane.queues) if own else len(lane.queues))
