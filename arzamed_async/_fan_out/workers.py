"""The plan of a fan-out, and the worker pool that carries it out: a bounded number of tasks, fed lazily."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from types import CoroutineType
from typing import Any, Generic, TypeVar

from .._arguments import callback
from .._concurrency.cancel_scope import CancelScope, CancelScopes, current_task_or_none, wait_for_end
from .._merged import Failure
from .._validation import positive_seconds, whole_number
from ..errors import ArzamedError, ConfigurationError, DeadlineExceededError
from .buffer import RecordBuffer
from .feed import ClinicFeed, Named, error_of

__all__ = ["FanOutPlan", "MisuseError", "Progress", "Serve", "WorkerPool"]

H = TypeVar("H", bound=Named)
Item = TypeVar("Item")

Progress = Callable[[int, int, int | None], None]
#: Serves a clinic with the pool and the clinic's index, and returns its completion item.
Serve = Callable[["WorkerPool[Item]", H, int], Awaitable[Item | Failure]]


class FanOutPlan(Generic[H]):
    """The checked arguments of a fan-out or merge. Raises ConfigurationError.

    `enter` returns the event loop, or raises SessionClosedError. `buffer` is the maximum number of records that a merge
    buffers. The work for a clinic does not start while `crowded` returns True for it.
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
        crowded: Callable[[H], bool],
    ) -> None:
        positive_seconds("deadline_seconds", deadline_seconds)
        if on_progress is not None:
            callback("on_progress", on_progress)
        self.clinics = clinics
        self.enter = enter
        self.concurrency = whole_number("concurrency", concurrency)
        self.deadline_seconds = deadline_seconds
        self.on_progress = on_progress
        self.buffer = whole_number("buffer", buffer)
        self.crowded = crowded


#: How often a lane checks whether its next clinic may start.
LOOK_AGAIN_SECONDS = 0.1
#: The step after an item is taken: none, or draw the next clinic. A number from 0 on is a record's size in the buffer.
_NOTHING, _NEXT_CLINIC = -1, -2


class MisuseError(Exception):
    """Wraps a ConfigurationError that is the program's mistake, and not the failure of one clinic."""

    def __init__(self, error: ConfigurationError) -> None:
        super().__init__()
        self.error = error


_STRAY = "CancelledError was raised here, and the fan-out was not cancelled: something else that is awaited here was"


def _bug(error: BaseException) -> BaseException:
    """Return the exception to raise for a bug. Some classes would be mistaken for something else by the consumer."""
    if isinstance(error, MisuseError):
        return error.error
    if isinstance(error, StopAsyncIteration):  # raised by our own `__anext__`, it would look like the end
        return RuntimeError("StopAsyncIteration was raised here").with_traceback(error.__traceback__)
    if isinstance(error, asyncio.CancelledError):  # a task group, and a timeout, would take it for a cancellation
        return RuntimeError(_STRAY).with_traceback(error.__traceback__)
    return error


class WorkerPool(Generic[Item]):
    """The tasks of a fan-out and the queue of their results.

    Each clinic has its own task, in a copy of the context in which the fan-out started. There are `concurrency` lanes. A
    lane is a sequence of tasks: the next one starts when the result of the last one has been taken. `serve` does the work
    for a clinic, and returns its completion item. An ArzamedError becomes a Failure, and so does the deadline. Any other
    exception is a bug: it cancels the rest, and `get` raises it. Tasks hold the pool and never the Results, so that a
    Results object that is dropped half-way is garbage-collected, and warns.
    """

    def __init__(self, plan: FanOutPlan[H], serve: Serve[Item, H]) -> None:
        self._plan: FanOutPlan[Any] = plan
        self._serve: Serve[Item, Any] = serve
        self._loop = plan.enter()
        self._context = copy_context()
        self._deadline = None if plan.deadline_seconds is None else self._loop.time() + plan.deadline_seconds
        self._scopes = CancelScopes(self._loop)
        self._ready: deque[tuple[int, Item | Failure, int]] = deque()
        self._readers: list[asyncio.Future[None]] = []  # futures of consumers that wait for an item
        self._done = self._failed = 0
        self._bug: BaseException | None = None
        self._stopping = False
        self.buffer = RecordBuffer(plan.buffer)
        total = plan.clinics.total
        # At least one lane, even for an empty list: it may have been filled since its length was read.
        self._lanes = plan.concurrency if total is None else min(plan.concurrency, max(1, total))
        self.fair_share = max(1, plan.buffer // self._lanes)
        self._tasks: set[asyncio.Task[bool]] = set()
        plan.clinics.start(self._context, self._fail)
        for _ in range(self._lanes):
            self._start_task()

    def _start_task(self) -> None:
        """Start the next task of a lane. (A task copies the context in which it is created.)"""
        task = self._context.run(self._loop.create_task, self._work())
        if task.done():  # at once, where the loop's tasks are eager
            self._on_task_done(task)
        else:
            self._tasks.add(task)
            task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[bool]) -> None:
        """End the lane if its task found no clinic or had a bug. (A lane whose task queued a result continues.)"""
        self._tasks.discard(task)
        error = error_of(task)
        if error is None and task.result():
            return
        if error is not None:
            self._fail(error)
        self._lanes -= 1
        if not self._tasks and (self._stopping or not self._lanes):
            self._end()
        self._wake_readers()

    def _fail(self, error: BaseException) -> None:
        """Record a bug, and cancel the rest."""
        if self._bug is None and not self._stopping:
            self._bug = _bug(error)
            self.cancel()

    def _end(self) -> None:
        self._scopes.cancel()  # the timer ends with them
        self._plan.clinics.close()
        self._wake_readers()

    def _wake_readers(self) -> None:
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)
        self._readers.clear()

    async def _work(self) -> bool:
        """Draw one clinic and queue its result. Returns False, and the lane ends, if there is none."""
        plan, clinics = self._plan, self._plan.clinics
        try:
            drawn = await clinics.draw() if clinics.waits else clinics.draw_nowait()
            if drawn is None:
                return False
            index, clinic = drawn
            if plan.crowded(clinic):
                await self._room(clinic)
            item: Item | Failure
            if self._deadline is not None:
                item = await self._within(self._deadline, clinic, index)
            else:
                started = self._loop.time()
                try:
                    item = await self._serve(self, clinic, index)
                except ArzamedError as error:
                    item = Failure(clinic.name, error, self._loop.time() - started, index)
            self._done += 1
            self._failed += isinstance(item, Failure)
            if plan.on_progress is not None:
                left: object = plan.on_progress(self._done, self._failed, clinics.total)
                if isinstance(left, CoroutineType):
                    left.close()
                    raise MisuseError(
                        ConfigurationError(
                            "on_progress returned a coroutine, which is not awaited: pass a plain function"
                        )
                    )
        except asyncio.CancelledError as error:
            task = asyncio.current_task(self._loop)
            if self._stopping or task is None or task.cancelling():
                raise
            bug = _bug(error)
        else:
            self._queue(index, item)
            return True
        raise bug

    async def _room(self, clinic: Any) -> None:
        deadline = math.inf if self._deadline is None else self._deadline
        while self._plan.crowded(clinic) and self._loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN_SECONDS)  # no event reports it: time passes, or other calls give up

    def _queue(self, index: int, item: Item | Failure) -> None:
        """Queue the result of the running task, which then ends. Its lane continues when the result has been taken."""
        task = asyncio.current_task(self._loop)
        if task is not None:
            task.remove_done_callback(self._on_task_done)  # saves a callback for each task
            self._tasks.discard(task)
        self._ready.append((index, item, _NEXT_CLINIC))
        self._wake_readers()
        if self._stopping and not self._tasks:
            self._end()

    async def _within(self, deadline: float, clinic: Any, index: int) -> Item | Failure:
        started = now = self._loop.time()
        phase = "waiting to start"
        if started < deadline:
            scope = CancelScope(self._scopes, deadline)
            with scope:
                try:
                    return await self._serve(self, clinic, index)
                except ArzamedError as error:
                    return Failure(clinic.name, error, self._loop.time() - started, index)
            now, phase = self._loop.time(), scope.phase
        late = DeadlineExceededError(seconds=self._plan.deadline_seconds or 0.0, phase=phase, clinic=clinic.name)
        return Failure(clinic.name, late, now - started, index)

    def time(self) -> float:
        """Return the loop's time, in seconds."""
        return self._loop.time()

    def put(self, item: Item, size: int = _NOTHING) -> None:
        """Add an item. It has entered `buffer` with this size, unless none is given."""
        self._ready.append((-1, item, size))
        if self._readers:
            self._wake_readers()

    def get_nowait(self) -> tuple[int, Item | Failure] | None:
        """Return an item that is ready with its clinic's number; None if none is ready."""
        if not self._ready or self._bug is not None:
            return None
        index, item, then = self._ready.popleft()
        if then >= 0:
            self.buffer.leave(then)
        elif then == _NEXT_CLINIC:
            self._go_on()
        return index, item

    def _go_on(self) -> None:
        """Let a lane draw its next clinic, now that the result of its last one has been taken (backpressure)."""
        if self._plan.clinics.ended and not self._stopping:
            self._lanes -= 1
            if not self._lanes:
                self._end()
        elif not self._stopping:
            self._start_task()

    async def get(self) -> tuple[int, Item | Failure] | None:
        """Wait for the next item and return it with its clinic's number; None at the end. Raises a worker's bug."""
        while True:
            if self._bug is not None:
                await self.stop()
                raise self._bug
            step = self.get_nowait()
            if step is not None or self._stopping:
                return step
            if not self._lanes:
                await self._plan.clinics.aclose()  # nothing is left running
                return None
            change: asyncio.Future[None] = self._loop.create_future()
            self._readers.append(change)
            await change

    def cancel(self) -> None:
        """Cancel the tasks, without waiting for their end."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        if not self._tasks:
            self._end()

    async def stop(self) -> None:
        """Cancel the tasks and wait for their end, and for that of the caller's generator."""
        if not self._stopping or current_task_or_none() in self._tasks:
            self.cancel()  # once: a second cancellation would interrupt what a fetch does at its end
        try:
            await wait_for_end(self._tasks)
        finally:
            if not self._tasks:
                await self._plan.clinics.aclose()

    @property
    def running(self) -> bool:
        """Whether a lane is still active."""
        return bool(self._tasks or (self._lanes and not self._stopping)) and not self._loop.is_closed()
