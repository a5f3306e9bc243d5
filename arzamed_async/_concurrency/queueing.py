"""The wait for a slot before a request is sent: how an error reports it, and whether it counts towards the deadline."""

from __future__ import annotations

from contextvars import ContextVar

from .cancel_scope import CancelScope
from .semaphore import FairSemaphore

__all__ = ["QUEUE_TIME_COUNTS", "wait_in_queue"]

#: False in a merge: there the slots are held by streams that wait for the merge's consumer, whose time is not the call's.
QUEUE_TIME_COUNTS: ContextVar[bool] = ContextVar("arzamed_async_queue_time_counts", default=True)


async def wait_in_queue(scope: CancelScope, queue: FairSemaphore, phase: str) -> None:
    """Wait for a slot of `queue`. If the deadline of `scope` passes meanwhile, an error reports `phase`, with their number."""
    scope.set_phase(phase.format(queue.slots))
    if QUEUE_TIME_COUNTS.get():
        await queue.acquire()
    else:
        with scope.suspended():
            await queue.acquire()
    scope.set_phase("")
