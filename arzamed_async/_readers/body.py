"""One answer read as a list of records, window by window."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from .._concurrency.cancel_scope import Scope
from .._http.response import Answer
from .._records.decoder import Decoder
from .._records.json_array import JsonArrayParser, parse_small_array
from ..config import Limits
from ..errors import DecodeError, LimitExceededError, StreamInterruptedError

__all__ = ["WindowReader", "whole_list"]

T = TypeVar("T")

#: How many windows (of about 16 KiB) are decoded, or pieces skipped, before other tasks are let in, where no await would do it.
WINDOWS_A_TURN = PIECES_A_TURN = 4
#: It only has to distinguish one list from another; SHA-256 does so in hardware, faster than the bytes are decoded.
DIGEST = hashlib.sha256


def whole_list(answer: Answer, data: bytes, limits: Limits) -> list[Any] | None:
    """Return the values of a body that is small and has come as a whole, in `data`; None: it is read in windows."""
    if answer.ended() and len(data) <= limits.list_bytes and len(data) <= limits.record_bytes:
        return parse_small_array(data)
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
        watch: Callable[[Iterable[str]], None] | None = None,
        resumable: bool = False,
    ) -> None:
        self.answer = answer
        self._digest = DIGEST() if resumable else None
        self._windows: JsonArrayParser | None = None  # what is small and there at once needs none
        self._decoder = decoder
        self._limits = limits
        self._errors = errors
        self._watch = watch
        self._count = 0
        self._turns = 0
        self._begun = self._ended = False
        self._bad: DecodeError | None = None

    def begin(self, data: bytes) -> None:
        """Take what has been read of the answer already."""
        self._begun = True
        self._take(data)

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
            values = self._parser().next_window()
            if values is not None:
                return self._decoded(values)
            if not self._take(await self.answer.read()):
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

    def _take(self, data: bytes) -> bool:
        windows = self._parser()
        if not data:
            windows.finish()
            return False
        windows.feed(data)
        if windows.received_bytes > self._limits.list_bytes:
            raise LimitExceededError(limit="list_bytes", limit_bytes=self._limits.list_bytes)
        return True

    def _parser(self) -> JsonArrayParser:
        if self._windows is None:
            self._windows = JsonArrayParser(record_bytes=self._limits.record_bytes, digest=self._digest)
        return self._windows

    async def resume(self, answer: Answer, scope: Scope, seconds: float) -> None:
        """Continue from the response to a repeated request: check the bytes delivered before, and skip them.

        Each piece that arrives is progress, and extends the scope's deadline. Raises StreamInterruptedError
        if these are not the bytes that were delivered, TransportError if the response breaks off.
        """
        assert self._digest is not None, "not resumable"
        windows = self._parser()
        seen = DIGEST()
        left = windows.delivered_bytes
        rest = b""
        pieces = 0
        while left:
            piece = await answer.read()
            pieces += 1
            if pieces % PIECES_A_TURN == 0:  # one chunk of a compressed body may hold thousands
                await asyncio.sleep(0)
            scope.extend_by(seconds)
            if not piece:
                break
            seen.update(piece[:left])
            rest = piece[left:]
            left -= min(left, len(piece))
        if left or seen.digest() != self._digest.digest():
            raise StreamInterruptedError("asked for again, the list was another")
        windows.rewind()
        if rest:
            windows.feed(rest)
        self.answer = answer
