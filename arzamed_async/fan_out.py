"""One coroutine over many clinics: results as they finish, failures included, nothing left running."""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Generic, Self, TypeVar

from ._engine import Engine
from ._scope import Scope
from .clinic import Clinic
from .credentials import ClinicCredentials
from .errors import ArzamedError, ConfigurationError, DeadlineExceededError
from .models import Failure, Outcome, Success

__all__ = ["Clinics", "FanOut", "Progress", "gather"]

T = TypeVar("T")

Clinics = Iterable[Clinic | ClinicCredentials] | AsyncIterable[Clinic | ClinicCredentials]
Progress = Callable[[int, int, int | None], None]


class _End:
    """What is drawn when there is nothing more. (None would be a caller's mistake, to be told.)"""


_END = _End()


class _Draw:
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
        self.total = len(clinics) if isinstance(clinics, Sized) else None
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


class _Crew(Generic[T]):
    """The workers of one fan-out. They hold this, never the FanOut, so that a FanOut dropped half-way is noticed."""

    def __init__(
        self,
        engine: Engine,
        draw: _Draw,
        fetch: Callable[[Clinic], Awaitable[T]],
        concurrency: int,
        deadline_seconds: float | None,
        on_progress: Progress | None,
    ) -> None:
        self._draw = draw
        self._fetch = fetch
        self._on_progress = on_progress
        self._deadline_seconds = deadline_seconds
        self._loop = engine.enter()
        self._deadline = None if deadline_seconds is None else self._loop.time() + deadline_seconds
        self._scopes: set[Scope] = set()
        self._finished: deque[tuple[int, Outcome[T], asyncio.Future[None]]] = deque()
        self._news = asyncio.Event()
        self._done = self._failed = 0
        self._bug: BaseException | None = None
        self._stopping = False
        count = concurrency if draw.total is None else min(concurrency, draw.total)
        self._tasks = {self._loop.create_task(self._work()) for _ in range(count)}
        for task in self._tasks:
            task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        bug = asyncio.CancelledError() if task.cancelled() else task.exception()
        if bug is not None and self._bug is None and not self._stopping:
            self._bug = bug
            self.cancel()
        self._news.set()

    async def _work(self) -> None:
        while (drawn := await self._draw.next()) is not None:
            index, clinic = drawn
            outcome = await self._one(clinic)
            self._done += 1
            self._failed += not outcome.ok
            if self._on_progress is not None:
                self._on_progress(self._done, self._failed, self._draw.total)
            taken: asyncio.Future[None] = self._loop.create_future()
            self._finished.append((index, outcome, taken))
            self._news.set()
            await taken  # a slow consumer slows the producers: nothing more is drawn until this one is taken

    async def _one(self, clinic: Clinic) -> Outcome[T]:
        started = self._loop.time()
        if self._deadline is not None and started >= self._deadline:
            return Failure(clinic.name, self._late(clinic), 0.0)
        failure: ArzamedError = self._late(clinic)
        scope = Scope(self._loop, self._scopes, self._deadline)
        with scope:
            try:
                value = await self._fetch(clinic)
            except ArzamedError as error:
                failure = error
            else:
                return Success(clinic.name, value, self._loop.time() - started)
        return Failure(clinic.name, failure, self._loop.time() - started)

    def _late(self, clinic: Clinic) -> DeadlineExceededError:
        return DeadlineExceededError(seconds=self._deadline_seconds or 0.0, clinic=clinic.name)

    async def next(self) -> tuple[int, Outcome[T]] | None:
        """Return the next outcome and its clinic's number; None when all have been told."""
        while True:
            if self._bug is not None:
                await self.stop()
                raise self._bug
            if self._finished:
                index, outcome, taken = self._finished.popleft()
                if not taken.done():
                    taken.set_result(None)
                return index, outcome
            if not self._tasks:
                return None
            self._news.clear()
            await self._news.wait()

    def cancel(self) -> None:
        """Cancel what runs, without waiting for it."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Cancel what runs and wait until it has ended."""
        while self._tasks:
            self.cancel()
            await asyncio.wait(set(self._tasks))

    @property
    def running(self) -> bool:
        """Whether anything may still be running."""
        return bool(self._tasks) and not self._loop.is_closed()


class FanOut(Generic[T]):
    """Outcomes as they finish: an async iterator and an async context manager, to be used once.

        async with session.fan_out(clinics, lambda clinic: clinic.doctors.list()) as outcomes:
            async for outcome in outcomes:
                match outcome:
                    case Success(clinic, doctors): ...
                    case Failure(clinic, error): ...

    Nothing starts before the first step. Behind the `async with` nothing is left running; a plain
    `async for` promises that when it comes to the end, or at `aclose()`.
    """

    _crew: _Crew[T] | None = None

    def __init__(
        self,
        engine: Engine,
        clinics: Clinics,
        fetch: Callable[[Clinic], Awaitable[T]],
        *,
        concurrency: int,
        deadline_seconds: float | None,
        on_progress: Progress | None,
    ) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise ConfigurationError("concurrency must be a whole number of one or more")
        if deadline_seconds is not None and not deadline_seconds > 0:
            raise ConfigurationError("deadline_seconds must be over zero")
        draw = _Draw(engine, clinics)
        self._left = False
        self._start: Callable[[], _Crew[T]] = lambda: _Crew(
            engine, draw, fetch, concurrency, deadline_seconds, on_progress
        )

    def __aiter__(self) -> Self:
        if self._left:
            raise ConfigurationError("the outcomes of a fan-out can be read only once: start a new one")
        return self

    async def __anext__(self) -> Outcome[T]:
        numbered = await self.numbered()
        if numbered is None:
            raise StopAsyncIteration
        return numbered[1]

    async def numbered(self) -> tuple[int, Outcome[T]] | None:
        """Return the next outcome with its clinic's number in the order of drawing; None at the end."""
        if self._left:
            return None
        if self._crew is None:
            self._crew = self._start()
        numbered = await self._crew.next()
        if numbered is None:
            self._left = True
        return numbered

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel what runs and wait until it has ended. More than once is fine."""
        self._left = True
        if self._crew is not None:
            await self._crew.stop()

    def __del__(self) -> None:
        if self._crew is not None and not self._left and self._crew.running:
            self._crew.cancel()
            warnings.warn(
                "a fan-out was dropped half-way: use `async with`, or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


async def gather(outcomes: FanOut[T]) -> list[Outcome[T]]:
    """Return every outcome, in the order in which the clinics were drawn."""
    numbered: dict[int, Outcome[T]] = {}
    async with outcomes:
        while (step := await outcomes.numbered()) is not None:
            numbered[step[0]] = step[1]
    return [numbered[index] for index in sorted(numbered)]
