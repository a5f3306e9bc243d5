"""Record streams: bytes become records as they arrive."""

from __future__ import annotations

import asyncio
import copy
import warnings
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from .._calls.call import LEFT, Call
from .._calls.request import Request
from .._concurrency.cancel_scope import this_task
from .._http.response import Answer
from .._records.decoder import Decoder
from .._resilience.retry import Retries, retry
from ..errors import (
    ArzamedError,
    ConfigurationError,
    DecodeError,
    ResponseError,
    StatusError,
    StreamInterruptedError,
    TokenError,
    TransportError,
)
from .body import WindowReader

__all__ = ["RecordStream", "Windows"]

T = TypeVar("T")
Item = TypeVar("Item")

#: How a reading ended: with the whole list, left before the end of the list, or with the error of a step.
Ending = Literal["whole", "left"] | ArzamedError


class Windows(Generic[T]):
    """One reading of a list: opened within the deadline, then read on, each wait bounded by record_seconds."""

    def __init__(
        self,
        request: Request,
        decoder: Decoder[T],
        errors: list[DecodeError] | None,
    ) -> None:
        self._request = request
        self._lifetime = request.engine.lifetime
        self._decoder = decoder
        self._errors = errors
        self._call = Call(request, keep=True)
        self._reader: WindowReader[T] | None = None
        self._retries = Retries(request.options.retry)
        self.reader: asyncio.Task[Any] | None = None  # who has taken the last step
        self.step: asyncio.Future[None] | None = None  # done when the step that is being taken is over
        self.delivered = 0
        self.ending: Ending | None = None  # None while there may be more to read

    async def next(self) -> list[T] | None:
        """Return the next records, None at the end."""
        if self.ending is not None:
            raise self.error_after_end()
        known = len(self._errors or ())
        self.reader = asyncio.current_task()
        step = self.step = asyncio.get_running_loop().create_future()
        try:
            window = await (self._start() if self._reader is None else self._go_on(self._reader))
        except BaseException as failure:
            self._close(failure if isinstance(failure, ArzamedError) else "left", type(failure).__name__)
            failure.__traceback__ = None  # see Call.run
            if isinstance(failure, ArzamedError):
                self._request.clinic.failures += self._reader is not None  # that of the start is counted already
            raise
        finally:
            self.step = None
            step.set_result(None)
        for error in (self._errors or ())[known:]:
            self._call.describe(error)
        if window is None:
            self._close("whole")
        return window

    def error_after_end(self) -> ArzamedError:
        """Return the error for a step after the end of a reading that did not reach the end of the list."""
        if isinstance(self.ending, ArzamedError):
            return copy.copy(self.ending)
        over = ConfigurationError(LEFT)
        self._call.describe(over)
        return over

    def cut(self) -> None:
        """End the step that another task is taking."""
        self.ending = "left"
        self._call.scope.end("left")

    async def _first(self, answer: Answer) -> tuple[WindowReader[T], list[T] | None]:
        if self._errors is not None:
            self._errors.clear()  # those of an attempt that was given up
        request = self._request
        watch = request.engine.notices.field_watcher(request.name, request.path)
        reader = WindowReader(
            answer, self._decoder, request.options.limits, errors=self._errors, watch=watch, resumable=True
        )
        return reader, await reader.next()

    async def _start(self) -> list[T] | None:
        reader, window = await self._call.run(self._first)
        self._reader = reader
        self._lifetime.hold_open(reader.answer)
        return window

    async def _go_on(self, reader: WindowReader[T]) -> list[T] | None:
        seconds = self._request.options.timeouts.record_seconds
        while True:
            broken: TransportError | None = None
            scope = reader.answer.scope = self._call.next_scope(seconds)
            with scope:
                try:
                    return await reader.next()
                except TransportError as error:
                    broken = error
                except ArzamedError as error:
                    self._call.describe(error)
                    raise
            if broken is None:
                raise self._call.cut_short(seconds)
            self._call.broke(broken)
            await self._resume(reader, broken)

    async def _resume(self, reader: WindowReader[T], broken: TransportError) -> None:
        """Repeat the request and go on from where the stream broke off, or raise StreamInterruptedError."""
        call, request = self._call, self._request
        seconds = request.options.timeouts.record_seconds
        self._lifetime.let_go(reader.answer)
        scope = call.next_scope(seconds)

        async def use(answer: Answer) -> None:
            await reader.resume(answer, scope, seconds)
            self._lifetime.hold_open(answer)

        failure: ArzamedError | None = None
        with scope:
            try:
                await retry(partial(call.attempt, use), broken, call, self._retries)
                request.engine.quota.succeeded(request.clinic, retried=True)
            except (TransportError, StatusError, TokenError, ResponseError) as error:
                failure = error
            if failure is None:
                return
        if failure is None:
            raise call.cut_short(seconds)
        raise self._interrupted(failure)

    def _interrupted(self, failure: ArzamedError) -> StreamInterruptedError:
        interrupted = StreamInterruptedError(str(failure.args[0]), delivered=self.delivered, hint=failure.hint)
        self._call.describe(interrupted)
        return interrupted

    def leave(self) -> None:
        """Release the connection, whatever has been read. More than once is fine."""
        self._close(self.ending or "left")

    def _close(self, ending: Ending, error: str = "") -> None:
        self.ending = ending
        self._call.end_trace(error)
        if self._reader is not None:
            self._lifetime.let_go(self._reader.answer)

    async def records(self) -> AsyncGenerator[T, None]:
        """Yield one record after another."""
        record: T | None
        try:
            while (window := await self.next()) is not None:
                for record in window:
                    yield record
                self.delivered += len(window)
        finally:
            window = record = None  # see Call.run: this frame stands in the traceback
            self._end()

    async def batches(self, size: int | None) -> AsyncGenerator[list[T], None]:
        """Yield lists of records: as decoded, or of `size` (the last one shorter)."""
        held: list[T] = []
        try:
            while (window := await self.next()) is not None:
                if size is None:
                    if window:
                        yield window
                    self.delivered += len(window)
                    continue
                held += window
                while len(held) >= size:
                    batch, held = held[:size], held[size:]
                    yield batch
                    self.delivered += size
            if held:
                yield held
        finally:
            held = batch = window = []
            self._end()

    def _end(self) -> None:
        dropped = self.ending is None and self.reader is not this_task()
        self.leave()
        if dropped:
            warnings.warn(
                "a record stream was dropped half-way: use `async with`, or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


class RecordStream(Generic[Item]):
    """Records (or batches of them) as they arrive: an async iterator and an async context manager, to be used once.

        async with clinic.doctors.stream() as doctors:
            async for doctor in doctors:
                ...

    Nothing starts before the first step. Behind the `async with` nothing is left running; a plain
    `async for` promises that when it comes to the end, or at `aclose()`. An open stream holds a
    connection until it ends or is left. Each step raises what `list` raises.
    """

    def __init__(
        self, generator: AsyncGenerator[Item, None], windows: Windows[Any], errors: list[DecodeError] | None
    ) -> None:
        self._generator = generator
        self._windows = windows
        self._errors = errors

    @property
    def errors(self) -> list[DecodeError]:
        """With `collect_errors`: an error for each bad record met so far, in order; else empty."""
        return [] if self._errors is None else self._errors

    def __aiter__(self) -> AsyncIterator[Item]:
        windows = self._windows
        if windows.ending is not None:
            raise ConfigurationError("a record stream can be read only once: ask the resource for a new one")
        if windows.reader is None:
            return self._generator  # the generator itself: a step costs no second coroutine
        return self

    async def __anext__(self) -> Item:
        windows = self._windows
        if windows.step is not None:
            raise ConfigurationError("another task is reading this stream")
        try:
            return await self._generator.__anext__()
        except StopAsyncIteration:
            if windows.ending == "whole":
                raise
        raise windows.error_after_end()  # a list that was not read to its end never looks as if it had been

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the stream: its connection is closed. More than once is fine.

        Another task that reads it gets a ConfigurationError, in the step that it is taking or at its next window.
        """
        windows = self._windows
        if (step := windows.step) is not None:
            windows.cut()
            await asyncio.wait([step])
        windows.leave()
        reader = windows.reader
        if reader is None or reader.done() or reader is asyncio.current_task() or step is not None:
            await self._generator.aclose()
        # Else its reader stands between two steps: closed now, the generator would end as a whole list does.
