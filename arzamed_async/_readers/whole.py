"""One list at one clinic: read as a whole, alone or together with all who ask for the same, or opened as a stream."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Generic, TypeVar

from .._calls.call import Call, Target
from .._calls.engine import Engine, Options
from .._http.response import Answer
from .._records.decoder import Decoder
from ..errors import ArzamedError, DeadlineExceededError, DecodeError
from .body import WindowReader, whole_list
from .stream import Windows

__all__ = ["Source"]

T = TypeVar("T")


class Source(Generic[T]):
    """One list at one clinic: what a resource reads from."""

    def __init__(self, engine: Engine, target: Target, options: Options, decoder: Decoder[T]) -> None:
        self._engine = engine
        self._target = target
        self._options = options
        self._decoder = decoder

    def read(self) -> Awaitable[list[T]]:
        """Read all records; an attempt that breaks half-way starts over."""
        return Call(self._engine, self._target, self._options).run(self._read_all)

    async def _read_all(self, answer: Answer) -> list[T]:
        data = await answer.read()
        limits = self._options.limits
        watch = self._engine.notices.field_watcher(self._target.name, self._target.path)
        values = whole_list(answer, data, limits)
        if values is not None:
            records = self._decoder.decode(values, 0)
            if watch is not None and (unknown := self._decoder.unknown_fields(values, all_good=True)):
                watch(unknown)
            return records
        reader = WindowReader(answer, self._decoder, limits, watch=watch)
        reader.begin(data)
        records = await reader.next() or []
        while (window := await reader.next()) is not None:
            records += window
        return records

    async def read_together(self) -> list[T]:
        """Return all records out of one request that all who ask for them now have in common.

        It runs under the session's options; the deadline is the caller's own.
        """
        engine, target = self._engine, self._target
        engine.lifetime.enter(target.name)
        assert engine.reads is not None
        seconds = self._options.timeouts.total_seconds
        try:
            return list(
                await engine.reads.join(
                    (target.clinic, target.url, target.hint, self._decoder), self._read_for_all, seconds
                )
            )
        except ArzamedError as error:
            if isinstance(error, DeadlineExceededError):
                target.clinic.failures += not error.seconds  # the read's own deadline is the session's, and is counted
                error.seconds = error.seconds or seconds
            mine = Call(engine, target, self._options)
            mine.attempts = error.attempts
            mine.describe(error)
            raise

    async def _read_for_all(self) -> list[T]:
        return await Source(self._engine, self._target, self._engine.options, self._decoder).read()

    def open(self, errors: list[DecodeError] | None) -> Windows[T]:
        """Return a reading of the list; it starts at its first step."""
        return Windows(self._engine, self._target, self._options, self._decoder, errors)
