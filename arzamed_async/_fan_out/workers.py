"""Work over many clinics by a bounded crew of tasks: drawn lazily, handed out as it is done, nothing left running."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sized
from functools import partial
from typing import Any, Generic, TypeVar

from .._calls.engine import Engine
from .._concurrency.cancel_scope import Scope, Scopes, stop
from .._concurrency.semaphore import Bulkhead
from .._validation import whole_number
from ..clinic import Clinic
from ..credentials import ClinicCredentials
from ..errors import ConfigurationError, DeadlineExceededError
from ..models import Failure

__all__ = ["Clinics", "Crew", "Draw", "Plan", "Progress"]

Item = TypeVar("Item")

Clinics = Iterable[Clinic | ClinicCredentials] | AsyncIterable[Clinic | ClinicCredentials]
Progress = Callable[[int, int, int | None], None]


class _End:
    """What is drawn when there is nothing more. (None would be a caller's mistake, to be told.)"""


_END = _End()
_UNBOUND = contextlib.nullcontext()


class Draw:
    """Draws clinics one by one, numbered, from an iterable or an async iterable."""

    def __init__(self, engine: Engine, clinics: Clinics) -> None:
        self._engine = engine
        self._sync: Iterator[Clinic | ClinicCredentials] | None = None
        self._async: AsyncIterator[Clinic | ClinicCredentials] | None = None
        if isinstance(clinics, AsyncIterable):
            self._async = aiter(clinics)
        elif isinstance(clinics, Iterable):
            self._sync = iter(clinics)
        else:
            raise ConfigurationError(f"clinics must be an iterable or async iterable, not {type(clinics).__name__}")
        self.total: int | None = None
        if isinstance(clinics, Sized):
            with contextlib.suppress(TypeError):  # a wrapper (tqdm around a generator) has the method, not the number
                self.total = len(clinics)
        self._lock = asyncio.Lock()
        self._count = 0
        self._ended = False

    async def next(self) -> tuple[int, Clinic] | None:
        """Return the next clinic and its number; None when there is none."""
        if self._async is not None:
            async with self._lock:  # an async generator takes one step at a time
                return self._number(_END if self._ended else await anext(self._async, _END))
        assert self._sync is not None
        return self._number(_END if self._ended else next(self._sync, _END))

    def _number(self, drawn: Clinic | ClinicCredentials | _End) -> tuple[int, Clinic] | None:
        if isinstance(drawn, _End):
            self._ended = True
            return None
        self._count += 1
        clinic = drawn if isinstance(drawn, Clinic) else Clinic(self._engine, drawn)
        return self._count - 1, clinic


class Plan(Generic[Item]):
    """What a crew is to do: `serve` sees to one clinic and returns the last word on it."""

    def __init__(
        self,
        engine: Engine,
        clinics: Clinics,
        serve: Callable[[Crew[Item], Clinic], Awaitable[Item]],
        *,
        concurrency: int,
        deadline_seconds: float | None,
        on_progress: Progress | None,
        buffer: int = 1,
    ) -> None:
        if deadline_seconds is not None and not deadline_seconds > 0:
            raise ConfigurationError("deadline_seconds must be over zero")
        self.engine = engine
        self.concurrency = whole_number("concurrency", concurrency)
        self.buffer = whole_number("buffer", buffer)
        self.draw = Draw(engine, clinics)
        self.serve = serve
        self.deadline_seconds = deadline_seconds
        self.on_progress = on_progress


def _settle(taken: asyncio.Future[None]) -> None:
    if not taken.done():
        taken.set_result(None)


class Crew(Generic[Item]):
    """The workers. They hold this, never the Outcomes, so that one dropped half-way is noticed."""

    def __init__(self, plan: Plan[Item]) -> None:
        self._plan = plan
        self._loop = plan.engine.enter()
        seconds = plan.deadline_seconds
        self._deadline = None if seconds is None else self._loop.time() + seconds
        self._scopes = Scopes(self._loop)
        self._ready: deque[tuple[int, Item, Callable[[], Any] | None]] = deque()
        self._readers: list[asyncio.Future[None]] = []  # who waits for news
        self._done = self._failed = 0
        self._bug: BaseException | None = None
        self._stopping = False
        self.buffer = Bulkhead(plan.buffer)
        self._give = self.buffer.give
        total = plan.draw.total
        # (One at least looks: a list may have been filled since.)
        count = plan.concurrency if total is None else min(plan.concurrency, max(1, total))
        self.fair_share = max(1, plan.buffer // count)
        self._tasks = {self._loop.create_task(self._work()) for _ in range(count)}
        for task in self._tasks:
            task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        bug = asyncio.CancelledError() if task.cancelled() else task.exception()
        if isinstance(bug, StopAsyncIteration):  # out of a step of ours it would say that all has been told
            bug = RuntimeError("StopAsyncIteration was raised here").with_traceback(bug.__traceback__)
        if bug is not None and self._bug is None and not self._stopping:
            self._bug = bug
            self.cancel()
        if not self._tasks:
            self._scopes.end()  # the timer goes with them
        self._tell()

    def _tell(self) -> None:
        for reader in self._readers:
            _settle(reader)
        self._readers.clear()

    async def _work(self) -> None:
        plan = self._plan
        while (drawn := await plan.draw.next()) is not None:
            index, clinic = drawn
            last = await plan.serve(self, clinic)
            self._done += 1
            self._failed += isinstance(last, Failure)
            if plan.on_progress is not None:
                plan.on_progress(self._done, self._failed, plan.draw.total)
            taken: asyncio.Future[None] = self._loop.create_future()
            self._ready.append((index, last, partial(_settle, taken)))
            del last  # it is the consumer's now; and a traceback of the next clinic's bug shows this frame
            self._tell()
            await taken  # a slow consumer slows the producers: nothing more is drawn until this one is taken

    # For those who serve.

    def time(self) -> float:
        """Return the loop's time, in seconds."""
        return self._loop.time()

    def late(self, clinic: Clinic) -> DeadlineExceededError | None:
        """Return the error for a clinic drawn after the deadline; None while there is time."""
        if self._deadline is None or self._loop.time() < self._deadline:
            return None
        return self.too_late(clinic)

    def too_late(self, clinic: Clinic) -> DeadlineExceededError:
        """Return the error for a clinic that the deadline has cut short."""
        return DeadlineExceededError(seconds=self._plan.deadline_seconds or 0.0, clinic=clinic.name)

    def scope(self) -> contextlib.AbstractContextManager[object, bool | None]:
        """Return a guard that ends at the deadline, if there is one."""
        if self._deadline is None:
            return _UNBOUND
        return Scope(self._scopes, self._deadline)

    def hand_out(self, item: Item, *, slot: bool = True) -> None:
        """Hand out one more item. The caller has taken a slot of the buffer for it, unless `slot` says no."""
        self._ready.append((-1, item, self._give if slot else None))
        if self._readers:
            self._tell()

    # For the one who reads.

    def take(self) -> tuple[int, Item] | None:
        """Return what is ready, and its clinic's number; None: nothing is."""
        if not self._ready or self._bug is not None:
            return None
        index, item, taken = self._ready.popleft()
        if taken is not None:
            taken()
        return index, item

    async def next(self) -> tuple[int, Item] | None:
        """Return what comes next and its clinic's number; None when all has been told."""
        while True:
            if self._bug is not None:
                await self.stop()
                raise self._bug
            step = self.take()
            if step is not None or not self._tasks:
                return step
            news: asyncio.Future[None] = self._loop.create_future()
            self._readers.append(news)
            await news

    def cancel(self) -> None:
        """Cancel what runs, without waiting for it."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Cancel what runs and wait until it has ended."""
        self._stopping = True
        await stop(self._tasks)

    @property
    def running(self) -> bool:
        """Whether anything may still be running."""
        return bool(self._tasks) and not self._loop.is_closed()
