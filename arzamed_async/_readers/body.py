"""One answer read as a list of records, window by window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Generic, TypeVar

from .._calls.call import Target
from .._calls.engine import Engine
from .._http.response import Answer
from .._records.decoder import Decoder
from .._records.json_array import ArrayWindows, Digest, whole_array
from ..config import Limits
from ..errors import DecodeError, LimitExceededError

__all__ = ["WindowReader", "watcher", "whole_list"]

T = TypeVar("T")

#: How many windows (of about 16 KiB) are decoded before other tasks are let in, where no await would do it.
WINDOWS_A_TURN = 4


def whole_list(answer: Answer, data: bytes, limits: Limits) -> list[Any] | None:
    """Return the values of a body that is small and has come as a whole, in `data`; None: it is read in windows."""
    if answer.ended() and len(data) <= limits.list_bytes and len(data) <= limits.record_bytes:
        return whole_array(data)
    return None


class WindowReader(Generic[T]):
    """Reads one answer as a list of records, window by window."""

    __slots__ = (
        "_bad", "_begun", "_count", "_decoder", "_digest", "_ended", "_errors", "_limits", "_turns", "_watch", "_windows",
        "answer",
    )  # fmt: skip

    def __init__(
        self,
        answer: Answer,
        decoder: Decoder[T],
        limits: Limits,
        *,
        errors: list[DecodeError] | None = None,
        digest: Digest | None = None,
        watch: Callable[[Iterable[str]], None] | None = None,
    ) -> None:
        self.answer = answer
        self._digest = digest
        self._windows: ArrayWindows | None = None  # what is small and there at once needs none
        self._decoder = decoder
        self._limits = limits
        self._errors = errors
        self._watch = watch
        self._count = 0
        self._turns = 0
        self._begun = self._ended = False
        self._bad: DecodeError | None = None

    @property
    def windows(self) -> ArrayWindows:
        """What cuts the bytes into windows."""
        if self._windows is None:
            self._windows = ArrayWindows(record_bytes=self._limits.record_bytes, digest=self._digest)
        return self._windows

    def begin(self, data: bytes) -> None:
        """Take what has been read of the answer already."""
        self._begun = True
        self._take(data)

    def ready(self) -> list[T] | None:
        """Return the records of the next window that has arrived (perhaps none of them good); None: read on."""
        values = self.windows.next_window()
        return None if values is None else self._decoded(values)

    def _decoded(self, values: list[Any]) -> list[T]:
        first, self._count = self._count, self._count + len(values)
        if self._errors is not None:
            records = self._decoder.decode_each(values, first, self._errors)
            values = [value for value in values if value.__class__ is dict]
        else:
            records = []
            try:
                records = self._decoder.decode(values, first)
            except DecodeError as error:
                if not error.record_index or error.record_index <= first:
                    raise
                self._bad = error  # told behind the good records that stand before it
            if self._bad is not None:
                values = values[: (self._bad.record_index or 0) - first]
                records = self._decoder.decode(values, first)
        if self._watch is not None and (unknown := self._decoder.unknown_fields(values, all_good=self._errors is None)):
            self._watch(unknown)
        return records

    async def next(self) -> list[T] | None:
        """Return the next records (none, where all of a window are bad), or None at the end of the list. Raises TransportError and ResponseErrors."""
        if self._bad is not None:
            raise self._bad
        if not self._begun:
            self._begun = True
            if (records := await self._at_once()) is not None:
                return records
        if self._ended:
            return None
        while True:
            self._turns += 1
            if self._turns % WINDOWS_A_TURN == 0:
                await asyncio.sleep(0)
            records = self.ready()
            if records is not None:
                return records
            if not await self._feed():
                return None

    async def _at_once(self) -> list[T] | None:
        """Return the records of a body that is small and there as a whole; else feed what has come."""
        data = await self.answer.read()
        values = whole_list(self.answer, data, self._limits)
        if values is not None:
            self._ended = True
            return self._decoded(values)
        self._take(data)
        return None

    async def _feed(self) -> bool:
        return self._take(await self.answer.read())

    def _take(self, data: bytes) -> bool:
        if not data:
            self.windows.finish()
            return False
        self.windows.feed(data)
        if self.windows.received_bytes > self._limits.list_bytes:
            raise LimitExceededError(limit="list_bytes", limit_bytes=self._limits.list_bytes)
        return True


def watcher(engine: Engine, target: Target) -> Callable[[Iterable[str]], None] | None:
    """Return what takes note of unknown fields; None, and so no cost, where nobody observes."""
    if not engine.notices.observers:
        return None
    return partial(engine.notices.unknown_fields, target.name, target.path)
