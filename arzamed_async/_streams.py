"""Record streams: bytes become records as they arrive."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ._calls import Call, Target
from ._codec import Decoder
from ._engine import Engine, Options
from ._json_array import ArrayWindows
from ._transport import Answer
from .config import Limits
from .errors import ArzamedError, ConfigurationError, DecodeError, LimitExceededError

__all__ = ["RecordStream", "Source", "WindowReader"]

T = TypeVar("T")
Item = TypeVar("Item")

#: How many windows (of about 16 KiB) are decoded before other tasks are let in, where no await would do it.
WINDOWS_A_TURN = 8


class WindowReader(Generic[T]):
    """Reads one answer as a list of records, window by window."""

    def __init__(
        self, answer: Answer, decoder: Decoder[T], limits: Limits, errors: list[DecodeError] | None = None
    ) -> None:
        self.answer = answer
        self._decoder = decoder
        self._limits = limits
        self._errors = errors
        self._windows = ArrayWindows(record_bytes=limits.record_bytes)
        self._count = 0
        self._turns = 0

    def ready(self) -> list[T] | None:
        """Return the records of the next window that has arrived (perhaps none of them good); None: read on."""
        values = self._windows.next_window()
        if values is None:
            return None
        first, self._count = self._count, self._count + len(values)
        if self._errors is None:
            return self._decoder.decode(values, first)
        return self._decoder.decode_each(values, first, self._errors)

    async def next(self) -> list[T] | None:
        """Return the next records, or None at the end of the list. Raises TransportError and ResponseErrors."""
        while True:
            self._turns += 1
            if self._turns % WINDOWS_A_TURN == 0:
                await asyncio.sleep(0)
            records = self.ready()
            if records:
                return records
            if records is None and not await self._feed():
                return None

    async def _feed(self) -> bool:
        data = await self.answer.read()
        if not data:
            self._windows.finish()
            return False
        self._windows.feed(data)
        if self._windows.received_bytes > self._limits.list_bytes:
            raise LimitExceededError(limit="list_bytes", limit_bytes=self._limits.list_bytes)
        return True


class Source(Generic[T]):
    """One list at one clinic: what a resource reads from."""

    def __init__(self, engine: Engine, target: Target, options: Options, decoder: Decoder[T]) -> None:
        self._engine = engine
        self._target = target
        self._options = options
        self._decoder = decoder

    async def read_all(self) -> list[T]:
        """Return all records; an attempt that breaks half-way starts over."""
        return await Call(self._engine, self._target, self._options, self._read_all).run()

    async def _read_all(self, answer: Answer) -> list[T]:
        reader = WindowReader(answer, self._decoder, self._options.limits)
        records: list[T] = []
        while (window := await reader.next()) is not None:
            records += window
        return records

    def open(self, errors: list[DecodeError] | None) -> Windows[T]:
        """Return a reading of the list; it starts at its first step."""
        return Windows(self._engine, self._target, self._options, self._decoder, errors)


class Windows(Generic[T]):
    """One reading of a list: opened within the deadline, then read on, each wait bounded by record_seconds."""

    def __init__(
        self,
        engine: Engine,
        target: Target,
        options: Options,
        decoder: Decoder[T],
        errors: list[DecodeError] | None,
    ) -> None:
        self._engine = engine
        self._options = options
        self._decoder = decoder
        self._errors = errors
        self._call = Call(engine, target, options, self._first)
        self._reader: WindowReader[T] | None = None
        self.done = False
        self.left = False

    async def next(self) -> list[T] | None:
        """Return the next records, None at the end."""
        try:
            window = await (self._start() if self._reader is None else self._go_on(self._reader))
        except BaseException:
            self.leave()
            raise
        if window is None:
            self.leave()
        return window

    async def _first(self, answer: Answer) -> tuple[WindowReader[T], list[T] | None]:
        if self._errors is not None:
            self._errors.clear()  # those of an attempt that was given up
        reader = WindowReader(answer, self._decoder, self._options.limits, self._errors)
        return reader, await reader.next()

    async def _start(self) -> list[T] | None:
        reader, window = await self._call.run()
        self._reader = reader
        self._engine.keep(reader.answer)
        return window

    async def _go_on(self, reader: WindowReader[T]) -> list[T] | None:
        seconds = self._options.timeouts.record_seconds
        scope = self._engine.scope(seconds, self._call.target.name)
        with scope:
            try:
                return await reader.next()
            except ArzamedError as error:
                self._call.describe(error)
                raise
        raise self._call.cut_short(scope, seconds)

    def leave(self) -> None:
        """Let the connection go, whatever has been read."""
        self.done = True
        if self._reader is not None:
            self._engine.drop(self._reader.answer)

    async def records(self) -> AsyncGenerator[T, None]:
        """Yield one record after another."""
        try:
            while (window := await self.next()) is not None:
                for record in window:
                    yield record
        finally:
            self._end()

    async def batches(self, size: int | None) -> AsyncGenerator[list[T], None]:
        """Yield lists of records: as decoded, or of `size` (the last one shorter)."""
        held: list[T] = []
        try:
            while (window := await self.next()) is not None:
                if size is None:
                    yield window
                    continue
                held += window
                while len(held) >= size:
                    batch, held = held[:size], held[size:]
                    yield batch
            if held:
                yield held
        finally:
            self._end()

    def _end(self) -> None:
        dropped = not self.done and not self.left
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
        if self._windows.done or self._windows.left:
            raise ConfigurationError("a record stream can be read only once: ask the resource for a new one")
        return self._generator  # the generator itself: a step costs no second coroutine

    async def __anext__(self) -> Item:
        return await self._generator.__anext__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the stream: its connection is closed. More than once is fine."""
        self._windows.left = True
        await self._generator.aclose()
