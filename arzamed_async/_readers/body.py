"""Reads the body of a response as a list of records, window by window."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from .._concurrency.cancel_scope import CancelScope
from .._concurrency.metering import METER, Meter
from .._http.response import HttpResponse
from .._json import Exact
from .._records.decoder import Decoder
from .._records.elements import decode_list
from .._records.json_array import WINDOW_BYTES, JsonArrayParser
from ..config import Limits
from ..errors import DecodeError, LimitExceededError, StreamInterruptedError
from .kept import KeptRecords, LargeRecords

__all__ = ["PARTIAL", "BodyReader", "part_error", "small_list"]

T = TypeVar("T")

#: A complete list that is no longer than this is decoded at once. (A stream's window stays a window.)
WHOLE_BYTES = 65_536
#: After this number of windows (of about 16 KiB) or skipped pieces, other tasks get a turn, even if no data has to be awaited.
WINDOWS_A_TURN = PIECES_A_TURN = 4
#: HTTP 206 Partial Content. Some APIs send pages of a list with it, although no range was requested.
PARTIAL = 206
#: Distinguishes one list from another. SHA-256 runs in hardware, faster than the bytes are decoded.
DIGEST = hashlib.sha256


def small_list(data: bytes, limits: Limits, most_bytes: int = WHOLE_BYTES) -> list[Any] | None:
    """Return the values of a complete body if it is small; None if it has to be read in windows."""
    size = len(data)
    if size <= most_bytes and size <= limits.list_bytes and size <= limits.record_bytes:
        return decode_list(data)
    return None


def part_error() -> DecodeError:
    """Return the error for a response with a part of a list, which must not be read as a complete, shorter list."""
    return DecodeError("the response is a part of the list (HTTP 206), which was not requested")


class BodyReader(Generic[T]):
    """Decodes one body into records, window by window. A window is a piece of the body that ends after a complete record.

    With `resumable`, another response can continue the body. `kept` limits the memory of records that are collected.
    """

    __slots__ = (
        "_at_end", "_bad_record", "_begun", "_count", "_decoder", "_digest", "_ended", "_errors", "_kept", "_large", "_limits", "_parser",
        "_report_at", "_turns", "_watch", "meter", "response",
    )  # fmt: skip

    def __init__(
        self,
        response: HttpResponse,
        decoder: Decoder[T],
        limits: Limits,
        *,
        errors: list[DecodeError] | None = None,
        watch: Callable[[Iterable[tuple[str, str]]], None] | None = None,
        resumable: bool = False,
        kept: KeptRecords | None = None,
    ) -> None:
        if response.status == PARTIAL:
            raise part_error()
        self.response = response
        self._digest = DIGEST() if resumable else None
        self._parser: JsonArrayParser | None = None  # created lazily: a small, complete body needs none
        self._decoder = decoder
        self._limits = limits
        self._errors = errors
        self._watch = watch
        self._kept = kept
        self._large: LargeRecords | None = None  # created with the parser
        self.meter = METER.get() if resumable else None
        self._count = 0
        self._turns = 0
        #: The response is notified when this number of bytes, or fewer, are not decoded yet: once after each read, then at
        #: each half of that.
        self._report_at = -1
        self._begun = self._ended = self._at_end = False
        self._bad_record: DecodeError | None = None

    def begin(self, data: bytes) -> None:
        """Start with the first bytes of the body, which the caller has read."""
        self._begun = True
        self._feed(data)

    def _decode(self, values: list[Any], source: bytes | Exact) -> list[T]:
        first, self._count = self._count, self._count + len(values)
        if (parser := self._parser) is not None:  # else it is a small body of a stream
            if self._digest is not None:  # a stream's reader may take its time
                kept = parser.received_bytes - parser.delivered_bytes
                if kept <= self._report_at:
                    self.response.delivered(kept)
                    self._report_at = kept // 2 if kept > WINDOW_BYTES else -1
            if self._kept is not None:
                json_bytes = parser.received_bytes
                self._kept.add(len(values), source, json_bytes, self.response.compressed_bytes or json_bytes)
        if self.meter is not None or (self._kept is not None and parser is None):
            self._count_of_stream(len(values), source)
        if self._errors is not None:
            records = self._decoder.decode_each(values, first, self._errors, source)
            values = [value for value in values if value.__class__ is dict]
        else:
            records, self._bad_record = self._decoder.decode_good(values, first, source)
            if self._bad_record is not None:  # raised after the good records before it
                values = values[: len(records)]
                if not values:
                    raise self._bad_record
        if self._watch is not None and (unknown := self._decoder.unknown_fields(values, all_good=self._errors is None)):
            self._watch(unknown)
        return records

    def _count_of_stream(self, count: int, source: bytes | Exact) -> None:
        if self._kept is not None and self._parser is None:
            size = 0 if isinstance(source, Exact) else len(source)
            self._kept.add(count, source, size, self.response.compressed_bytes or size)
        if self.meter is not None:
            self._note(self.meter, count, source)

    def _note(self, meter: Meter, count: int, source: bytes | Exact) -> None:
        delivered = 0 if self._parser is None else self._parser.delivered_bytes
        footprint, size = self._decoder.footprint, meter.step_to(delivered)
        memory = footprint.most(count, size) if isinstance(source, Exact) else footprint.of(count, source)
        meter.note(memory // max(count, 1), self.response.compressed_bytes or self.response.received_bytes())

    async def next(self) -> list[T] | None:
        """Return the next records, None at the end of the list. (The list is empty if a window has only invalid records.)

        Raises TransportError and ResponseErrors.
        """
        if self._bad_record is not None:
            raise self._bad_record
        if not self._begun:
            self._begun = True
            if (records := await self._read_small()) is not None:
                return records
        if self._ended:
            return None
        while True:
            self._turns += 1
            if self._turns % WINDOWS_A_TURN == 0:
                await asyncio.sleep(0)
            if self._kept is not None:
                await self._kept.take_turn()
            parser = self._ensure_parser()
            values = parser.next_window(last=self._at_end)
            if values is not None:
                return self._decode(values, parser.take_source())
            if self._at_end:
                parser.finish()
                return None
            kept = parser.received_bytes - parser.delivered_bytes
            self._feed(self.response.at_hand() or await self._read(kept))

    async def _read(self, kept: int) -> bytes:
        if self._kept is not None:
            self._kept.leave_turn()
        return await self.response.read(kept, self._limits.record_bytes)

    async def _read_small(self) -> list[T] | None:
        """Return the records of a small body that has arrived completely; None, after feeding its bytes, for any other."""
        data = await self.response.read()
        values = small_list(data, self._limits, WINDOW_BYTES) if self.response.ended() else None
        if values is not None:
            self._ended = True
            return self._decode(values, data)
        self._feed(data)
        return None

    def _feed(self, data: bytes) -> None:
        parser = self._ensure_parser()
        self._at_end = not data
        self._report_at = sys.maxsize
        parser.feed(data)
        if parser.received_bytes > self._limits.list_bytes:
            raise LimitExceededError(limit="list_bytes", limit_bytes=self._limits.list_bytes)

    def _ensure_parser(self) -> JsonArrayParser:
        if self._parser is None:
            self._large = LargeRecords(self.response)
            self._parser = JsonArrayParser(
                record_bytes=self._limits.record_bytes,
                digest=self._digest,
                passing=self._errors is not None,
                check_large=self._large.check,
            )
        return self._parser

    async def resume(self, response: HttpResponse, scope: CancelScope, seconds: float) -> None:
        """Continue from the response to a repeated request: check the bytes already delivered, and skip them.

        Each piece that arrives extends the scope's deadline by `seconds`. Raises StreamInterruptedError if
        the bytes differ from those delivered, TransportError if the response is interrupted.
        """
        assert self._digest is not None, "not resumable"
        if response.status == PARTIAL:
            raise part_error()
        parser = self._ensure_parser()
        seen = DIGEST()
        left = parser.delivered_bytes
        rest = b""
        pieces = 0
        while left:
            piece = await response.read()
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
            raise StreamInterruptedError("cannot resume: the list has changed")
        parser.rewind()
        self._at_end = False
        if rest:
            self._report_at = sys.maxsize
            parser.feed(rest)
        self.response = response
        if self._large is not None:
            self._large.response = response
