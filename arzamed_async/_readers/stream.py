"""Reads a list as a stream: records are decoded as their bytes arrive, and a broken connection is resumed."""

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
from .._calls.sending import READING
from .._concurrency.cancel_scope import current_task_or_none
from .._http.response import HttpResponse
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
from .body import BodyReader
from .kept import BATCH_HINT, KeptRecords

__all__ = ["RecordStream", "ResumingReader"]

T = TypeVar("T")
Item = TypeVar("Item")

#: How a stream ended: the whole list was read, the stream was left before that, or a step raised this error.
Ending = Literal["whole", "left"] | ArzamedError


class ResumingReader(Generic[T]):
    """Reads one list window by window, and repeats the request if the connection breaks.

    The call's deadline limits the wait for the first window, and `record_seconds` the wait for each further one.
    """

    def __init__(self, request: Request, decoder: Decoder[T], errors: list[DecodeError] | None) -> None:
        self._request = request
        self._lifetime = request.engine.lifetime
        self._decoder = decoder
        self._errors = errors
        self._kept: KeptRecords | None = None
        self._keeps = False  # whether records are collected, for batches of one size
        self._call = Call(request, leave_open=True)
        self._body: BodyReader[T] | None = None
        self._retries = Retries(request.options.retry)
        self.task: asyncio.Task[Any] | None = None  # the task that took the last step
        self.step: asyncio.Future[None] | None = None  # done when the current step is over
        self.delivered = 0
        self.ending: Ending | None = None  # None while there may be more to read

    async def next(self) -> list[T] | None:
        """Return the next records, None at the end."""
        if self.ending is not None:
            raise self.error_after_end()
        known = len(self._errors or ())
        try:
            loop = self._lifetime.running_loop()
        except ConfigurationError as refusal:  # the connection is the parent's: there is nothing to close here
            self.ending = refusal
            raise
        self.task = asyncio.current_task()
        step = self.step = loop.create_future()
        try:
            window = await (self._start() if self._body is None else self._go_on(self._body))
        except BaseException as failure:
            self._close(failure if isinstance(failure, ArzamedError) else "left", type(failure).__name__)
            failure.__traceback__ = None  # see Call.run
            if isinstance(failure, ArzamedError) and self._body is not None:  # the call counts a failure of the start
                self._request.engine.note_failure(self._request.clinic, failure)
            raise
        finally:
            self.step = None
            step.set_result(None)
        for error in (self._errors or ())[known:]:
            self._call.add_facts(error)
        if window is None:
            self._close("whole")
        return window

    def error_after_end(self) -> ArzamedError:
        """Return the error for a step after the stream ended before the end of the list."""
        if isinstance(self.ending, ArzamedError):
            return copy.copy(self.ending)
        left = ConfigurationError(LEFT)
        self._call.add_facts(left)
        return left

    def cancel_step(self) -> None:
        """Cancel the step that another task is taking."""
        self.ending = "left"
        self._call.scope.cancel("left")

    async def _first(self, response: HttpResponse) -> tuple[BodyReader[T], list[T] | None]:
        if self._errors is not None:
            self._errors.clear()  # those of a failed attempt
        request = self._request
        limits = request.options.limits
        if self._keeps:
            self._kept = KeptRecords(limits, self._decoder.footprint, hint=BATCH_HINT)
        watch = request.engine.observers.field_watcher(request.name, request.path)
        body = BodyReader(
            response, self._decoder, limits, errors=self._errors, watch=watch, resumable=True, kept=self._kept
        )
        return body, await body.next()

    async def _start(self) -> list[T] | None:
        body, window = await self._call.run(self._first)
        self._body = body
        self._lifetime.hold_open(body.response)
        return window

    async def _go_on(self, body: BodyReader[T]) -> list[T] | None:
        seconds = self._request.options.timeouts.record_seconds
        while True:
            broken: TransportError | None = None
            scope = self._call.next_scope(seconds)
            scope.set_phase(READING)
            body.response.read_within(scope)
            with scope:
                try:
                    return await body.next()
                except TransportError as error:
                    broken = error
                except ArzamedError as error:
                    self._call.add_facts(error)
                    raise
            if broken is None:
                raise self._call.cancellation_error(seconds)
            self._call.record_break(broken)
            await self._resume(body, broken)

    async def _resume(self, body: BodyReader[T], broken: TransportError) -> None:
        """Repeat the request and continue where the stream was interrupted, or raise StreamInterruptedError."""
        call, request = self._call, self._request
        seconds = request.options.timeouts.record_seconds
        self._lifetime.let_go(body.response)
        scope = call.next_scope(seconds)

        async def handle(response: HttpResponse) -> None:
            await body.resume(response, scope, seconds)
            self._lifetime.hold_open(response)

        failure: ArzamedError | None = None
        with scope:
            try:
                await retry(partial(call.attempt, handle), broken, call, self._retries)
                request.engine.retry_budget.succeeded(request.clinic, retried=True)
            except (TransportError, StatusError, TokenError, ResponseError) as error:
                failure = error
            if failure is None:
                return
        if failure is None:
            raise call.cancellation_error(seconds)
        raise self._interrupted(failure)

    def _interrupted(self, failure: ArzamedError) -> StreamInterruptedError:
        interrupted = StreamInterruptedError(str(failure.args[0]), delivered=self.delivered, hint=failure.hint)
        self._call.add_facts(interrupted)
        return interrupted

    def leave(self) -> None:
        """Release the connection before or after the end of the list. More than once is fine."""
        self._close(self.ending or "left")

    def _close(self, ending: Ending, error: str = "") -> None:
        self.ending = ending
        self._call.end_spans(error)
        if self._body is not None:
            self._lifetime.let_go(self._body.response)

    async def records(self) -> AsyncGenerator[T, None]:
        """Yield the records one by one."""
        record: T | None
        try:
            while (window := await self.next()) is not None:
                for record in window:
                    yield record
                self.delivered += len(window)
        finally:
            window = record = None  # see Call.run: this frame is in the traceback
            self._end()

    async def batches(self, size: int | None) -> AsyncGenerator[list[T], None]:
        """Yield lists of records: as decoded, or of `size` (the last one shorter)."""
        held: list[T] = []
        self._keeps = size is not None
        try:
            while (window := await self.next()) is not None:
                if self._body is not None and self._body.meter is not None:
                    self._body.meter.note_lists(size or len(window))
                if size is None:
                    if window:
                        yield window
                    self.delivered += len(window)
                    continue
                held += window
                while len(held) >= size:
                    batch, held = held[:size], held[size:]
                    if self._kept is not None:
                        self._kept.drop(size)
                    yield batch
                    self.delivered += size
            if held:
                yield held
        finally:
            held = batch = window = []
            self._end()

    def _end(self) -> None:
        dropped = self.ending is None and self.task is not current_task_or_none()
        self.leave()
        if dropped:
            warnings.warn(
                "a record stream was dropped half-way: use `async with`, or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


class RecordStream(Generic[Item]):
    """Yields records, or batches of them, as they arrive. An async iterator and async context manager, for one use.

        async with clinic.doctors.stream() as doctors:
            async for doctor in doctors:
                ...

    The request is sent at the first step. After the `async with`, after the last record, or after `aclose()`, nothing is
    left running. An open stream holds a connection. Each step raises what `list` raises.
    """

    def __init__(
        self, generator: AsyncGenerator[Item, None], reader: ResumingReader[Any], errors: list[DecodeError] | None
    ) -> None:
        self._generator = generator
        self._reader = reader
        self._errors = errors

    @property
    def errors(self) -> list[DecodeError]:
        """With `collect_errors`: the errors of the invalid records so far, in their order. Else empty."""
        return [] if self._errors is None else self._errors

    def __aiter__(self) -> AsyncIterator[Item]:
        reader = self._reader
        if reader.ending is not None:
            raise ConfigurationError("a record stream can be read only once: call stream() again for a new one")
        if reader.task is None:
            return self._generator  # the generator itself: saves a coroutine a step
        return self

    async def __anext__(self) -> Item:
        reader = self._reader
        if reader.step is not None:
            raise ConfigurationError("another task is reading this stream")
        try:
            return await self._generator.__anext__()
        except StopAsyncIteration:
            if reader.ending == "whole":
                raise
        raise reader.error_after_end()  # no silent truncation

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream and release its connection. Can be called more than once.

        A task that is still reading the stream gets a ConfigurationError.
        """
        if not vars(self):  # the constructor has raised
            return
        reader = self._reader
        if (step := reader.step) is not None:
            reader.cancel_step()
            await asyncio.wait([step])
        reader.leave()
        task = reader.task
        if task is None or task.done() or task is asyncio.current_task() or step is not None:
            await self._generator.aclose()
        # Else the task is between two steps: a generator closed now would look to it like the end of the list.
