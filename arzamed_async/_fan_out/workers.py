"""The plan of a fan-out, and the worker pool that carries it out: a bounded number of tasks, fed lazily."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

from .._concurrency.cancel_scope import CancelScope, CancelScopes, cancel_and_wait
from .._concurrency.semaphore import FairSemaphore
from .._validation import whole_number
from ..errors import ArzamedError, ConfigurationError, DeadlineExceededError
from ..models import Failure
from .feed import ClinicFeed, Named

__all__ = ["FanOutPlan", "Progress", "WorkerPool"]

H = TypeVar("H", bound=Named)
Item = TypeVar("Item")

Progress = Callable[[int, int, int | None], None]
_UNBOUND = contextlib.nullcontext()


class FanOutPlan(Generic[H]):
    """Which clinics, how many at a time, and for how long. Built by the session, checked once, and never changed.

    `enter` returns the event loop, or raises where the session is closed. `buffer` counts the records of a merge.
    Raises ConfigurationError.
    """

    def __init__(
        self,
        *,
        clinics: ClinicFeed[H],
        enter: Callable[[], asyncio.AbstractEventLoop],
        concurrency: int,
        deadline_seconds: float | None,
        on_progress: Progress | None,
        buffer: int = 1,
    ) -> None:
        if deadline_seconds is not None and not deadline_seconds > 0:
            raise ConfigurationError("deadline_seconds must be greater than zero")
        self.clinics = clinics
        self.enter = enter
        self.concurrency = whole_number("concurrency", concurrency)
        self.deadline_seconds = deadline_seconds
        self.on_progress = on_progress
        self.buffer = whole_number("buffer", buffer)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class WorkerPool(Generic[Item]):
    """The worker tasks and the queue of their results. Tasks hold the pool, never the Results: a dropped one is noticed.

    `serve` is called for each clinic; what it returns is the clinic's completion item. An ArzamedError becomes a
    Failure, as does the deadline; any other exception is a bug, which cancels the rest and is raised by `get`.
    """

    def __init__(self, plan: FanOutPlan[H], serve: Callable[[WorkerPool[Item], H], Awaitable[Item | Failure]]) -> None:
        self._loop = plan.enter()
        self._deadline = None if plan.deadline_seconds is None else self._loop.time() + plan.deadline_seconds
        self._scopes = CancelScopes(self._loop)
        self._ready: deque[tuple[int, Item | Failure, Callable[[], Any] | None]] = deque()
        self._readers: list[asyncio.Future[None]] = []  # each waits for a change
        self._done = self._failed = 0
        self._bug: BaseException | None = None
        self._stopping = False
        self.buffer = FairSemaphore(plan.buffer)
        self._release = self.buffer.release
        total = plan.clinics.total
        # At least one worker looks: a list may have been filled since its length was read.
        count = plan.concurrency if total is None else min(plan.concurrency, max(1, total))
        self.fair_share = max(1, plan.buffer // count)
        self._tasks = {self._loop.create_task(self._work(plan, serve)) for _ in range(count)}
        for task in self._tasks:
            task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        bug = asyncio.CancelledError() if task.cancelled() else task.exception()
        if isinstance(bug, StopAsyncIteration):  # raised by our own `__anext__`, it would look like the end
            bug = RuntimeError("StopAsyncIteration was raised here").with_traceback(bug.__traceback__)
        if bug is not None and self._bug is None and not self._stopping:
            self._bug = bug
            self.cancel()
        if not self._tasks:
            self._scopes.cancel()  # the timer ends with them
        self._wake_readers()

    def _wake_readers(self) -> None:
        for reader in self._readers:
            _settle(reader)
        self._readers.clear()

    async def _work(
        self, plan: FanOutPlan[H], serve: Callable[[WorkerPool[Item], H], Awaitable[Item | Failure]]
    ) -> None:
        while (drawn := await plan.clinics.draw()) is not None:
            index, clinic = drawn
            item = await self._outcome(plan, serve, clinic)
            self._done += 1
            self._failed += isinstance(item, Failure)
            if plan.on_progress is not None:
                plan.on_progress(self._done, self._failed, plan.clinics.total)
            taken: asyncio.Future[None] = self._loop.create_future()
            self._ready.append((index, item, partial(_settle, taken)))
            del item  # it is the consumer's now; and a traceback of the next clinic's bug shows this frame
            self._wake_readers()
            await taken  # backpressure: the next clinic is drawn once this result has been taken

    async def _outcome(
        self, plan: FanOutPlan[H], serve: Callable[[WorkerPool[Item], H], Awaitable[Item | Failure]], clinic: H
    ) -> Item | Failure:
        started = now = self._loop.time()
        if self._deadline is None or started < self._deadline:
            with _UNBOUND if self._deadline is None else CancelScope(self._scopes, self._deadline):
                try:
                    return await serve(self, clinic)
                except ArzamedError as error:
                    return Failure(clinic.name, error, self._loop.time() - started)
            now = self._loop.time()
        late = DeadlineExceededError(seconds=plan.deadline_seconds or 0.0, clinic=clinic.name)
        return Failure(clinic.name, late, now - started)

    def time(self) -> float:
        """Return the loop's time, in seconds."""
        return self._loop.time()

    def put(self, item: Item, *, buffered: bool = True) -> None:
        """Add an item. The caller holds a slot of `buffer` for it, unless `buffered` is false."""
        self._ready.append((-1, item, self._release if buffered else None))
        if self._readers:
            self._wake_readers()

    def get_nowait(self) -> tuple[int, Item | Failure] | None:
        """Return an item that is ready with its clinic's number; None if none is ready."""
        if not self._ready or self._bug is not None:
            return None
        index, item, taken = self._ready.popleft()
        if taken is not None:
            taken()
        return index, item

    async def get(self) -> tuple[int, Item | Failure] | None:
        """Wait for the next item and return it with its clinic's number; None at the end. Raises a worker's bug."""
        while True:
            if self._bug is not None:
                await self.stop()
                raise self._bug
            step = self.get_nowait()
            if step is not None or not self._tasks:
                return step
            change: asyncio.Future[None] = self._loop.create_future()
            self._readers.append(change)
            await change

    def cancel(self) -> None:
        """Cancel the workers, without waiting for their end."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Cancel the workers and wait for their end."""
        self._stopping = True
        await cancel_and_wait(self._tasks)

    @property
    def running(self) -> bool:
        """Whether a worker may still be running."""
        return bool(self._tasks) and not self._loop.is_closed()
