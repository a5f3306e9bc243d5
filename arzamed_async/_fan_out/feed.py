"""The clinics of a fan-out, drawn one by one from the caller's iterable, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator, Sized
from contextvars import Context, copy_context
from typing import Any, Generic, Protocol, TypeVar

from .._concurrency.cancel_scope import current_task_or_none, wait_for_end
from .._tracebacks import drop_frames
from ..errors import ConfigurationError

__all__ = ["ClinicFeed", "Named", "error_of"]

S = TypeVar("S")


class Named(Protocol):
    """The part of a clinic that a fan-out uses."""

    @property
    def name(self) -> str:
        """The name under which its results are reported."""
        ...


H = TypeVar("H", bound=Named)


class _End:
    """Marks the end of the iterable. (None does not: a None in the iterable is a caller's mistake, to be reported.)"""


_END = _End()


def error_of(task: asyncio.Task[Any]) -> BaseException | None:
    """Return the exception of a task that is done, also if it was cancelled; None if it returned."""
    return asyncio.CancelledError() if task.cancelled() else task.exception()


class ClinicFeed(Generic[H]):
    """Draws clinics from an iterable or an async iterable, numbers them, and makes a handle of each.

    All steps of the caller's iterator run in one context, and those of an async iterator in one task. So a generator may
    hold a context variable, a timeout or a task group across its `yield`. `close` ends a generator at once.
    """

    def __init__(self, clinics: Iterable[S] | AsyncIterable[S], handle: Callable[[S], H]) -> None:
        self._handle: Callable[[Any], H] = handle
        self._sync: Iterator[Any] | None = None
        self._async: AsyncIterator[Any] | None = None
        if isinstance(clinics, (str, bytes)):
            raise ConfigurationError(f"clinics must be an iterable of clinics, not {type(clinics).__name__}")
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
        self._context = copy_context()
        self._loop: asyncio.AbstractEventLoop | None = None  # once it has been started
        self._count = 0
        self.ended = False
        self._wanted: deque[asyncio.Future[object]] = deque()  # draws that wait for an async iterator
        self._demand = asyncio.Event()
        self._drawing: set[asyncio.Task[None]] = set()

    def start(self, context: Context, failed: Callable[[BaseException], None]) -> None:
        """Let the iterator run in a copy of `context`. `failed` receives what an async one raises."""
        self._context = context.copy()
        self._loop = asyncio.get_running_loop()
        if self._async is not None:
            task = self._context.run(self._loop.create_task, self._draw_all(self._async))
            self._drawing.add(task)
            task.add_done_callback(lambda task: self._drawn_all(task, failed))

    @property
    def waits(self) -> bool:
        """Whether to call `draw`, which awaits an async iterator, or `draw_nowait`."""
        return self._async is not None

    def draw_nowait(self) -> tuple[int, H] | None:
        """Return the next clinic and its number; None at the end."""
        if self._sync is None or self.ended:
            return self._number(_END)
        return self._number(self._context.run(next, self._sync, _END))

    async def draw(self) -> tuple[int, H] | None:
        """Return the next clinic and its number, once there is one; None at the end."""
        if self.ended:
            return None
        wanted: asyncio.Future[object] = asyncio.Future()
        self._wanted.append(wanted)
        self._demand.set()
        return self._number(await wanted)

    def _number(self, drawn: object) -> tuple[int, H] | None:
        if isinstance(drawn, _End):
            self.ended = True
            return None
        self._count += 1
        try:
            return self._count - 1, self._handle(drawn)
        except ConfigurationError as error:
            drop_frames(error, None)
            raise
        finally:
            drawn = None

    async def _draw_all(self, source: AsyncIterator[Any]) -> None:
        """Draw from an async iterator whenever a clinic is wanted, and close it."""
        try:
            drawn: object = None
            while not isinstance(drawn, _End):
                while not self._wanted:
                    self._demand.clear()
                    await self._demand.wait()
                drawn = await anext(source, _END)
                self._hand_out(drawn)
        finally:
            await self._aclosed(source)

    def _hand_out(self, drawn: object) -> None:
        while self._wanted:
            wanted = self._wanted.popleft()
            if not wanted.done():
                wanted.set_result(drawn)
                if not isinstance(drawn, _End):  # each of them gets the end
                    return

    def _drawn_all(self, task: asyncio.Task[None], failed: Callable[[BaseException], None]) -> None:
        self._drawing.discard(task)
        if (error := error_of(task)) is not None:
            failed(error)
        self._hand_out(_END)

    def close(self) -> None:
        """Stop drawing, and close a generator: a plain one now, an async one in its own task, which `aclose` waits for."""
        at_end, self.ended = self.ended, True
        source, self._sync = self._sync, None
        if isinstance(source, Generator):
            try:
                self._context.run(source.close)
            except Exception as error:  # noqa: BLE001 - the fan-out ends all the same
                self._report(error)
        if self._loop is not None and self._async is not None:  # started, and not closed before
            self._async = None
            for task in () if at_end else self._drawing:  # at the end it closes the iterator, and is not interrupted
                task.cancel()

    async def aclose(self) -> None:
        """Close, and wait until an async generator has ended."""
        self.close()
        source, self._async = self._async, None
        if source is not None:  # it was never started, and has no task
            await self._aclosed(source)
        if current_task_or_none() not in self._drawing:
            await wait_for_end(self._drawing)

    async def _aclosed(self, source: AsyncIterator[Any]) -> None:
        close = getattr(source, "aclose", None)
        if close is not None:
            try:
                await close()
            except Exception as error:  # noqa: BLE001 - the same
                self._report(error)

    def _report(self, error: Exception) -> None:
        """Report an exception raised while a generator was closed, as asyncio does with those that it closes itself."""
        loop = self._loop or asyncio.get_running_loop()
        text = "the generator of clinics raised an exception while it was closed"
        loop.call_exception_handler({"message": text, "exception": error})
