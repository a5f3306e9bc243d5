"""Protects against decompression bombs: limits the memory of the records of a list, and of one large record."""

from __future__ import annotations

from .._concurrency.semaphore import FairSemaphore
from .._http.response import HttpResponse
from .._json import Exact
from .._memory import FREE_BYTES, excess, most_memory
from .._records.footprint import RECORD_FLOOR_BYTES, Footprint
from ..config import Limits
from ..errors import LimitExceededError

__all__ = ["BATCH_HINT", "KeptRecords", "LargeRecords", "check_count", "check_small"]

LIST_HINT = (
    "stream() holds one record at a time; or give the size that you expect: Limits(list_bytes=..., list_records=...)"
)
BATCH_HINT = (
    "A smaller `size` holds fewer records at a time; or give what you expect: Limits(list_bytes=..., list_records=...)"
)
RECORD_HINT = "clinic.get returns the bytes of the response"


def check_count(limits: Limits, footprint: Footprint, count: int, hint: str = LIST_HINT) -> None:
    """Raise LimitExceededError if a list has too many records."""
    most = limits.list_records or footprint.most_records
    if count > most:
        raise LimitExceededError(limit="list_records", limit_records=most, hint=hint)


def check_small(limits: Limits, footprint: Footprint, values: list[object], data: bytes, received_bytes: int) -> None:
    """Check the values of a complete, small list before they become records."""
    KeptRecords(limits, footprint).add(len(values), data, len(data), received_bytes)


class LargeRecords:
    """Checks the memory of large records before they are decoded, in proportion to the bytes received."""

    __slots__ = ("response",)

    def __init__(self, response: HttpResponse) -> None:
        self.response = response

    def check(self, document: bytes) -> None:
        """Raise LimitExceededError if the record expands to too much memory."""
        received_bytes = self.response.compressed_bytes or len(document)
        if sizes := excess(document, received_bytes):
            what = "a record expands to too much memory"
            error = LimitExceededError(
                what, limit="record_bytes", limit_bytes=most_memory(received_bytes), hint=RECORD_HINT
            )
            error.add_sizes(**sizes)
            raise error


class KeptRecords:
    """Counts the number and the memory of the records that a list or a batch collects, and enforces the limits.

    With `turns`, only one list at a time decompresses the bytes it has received, so that many bombs at once hold little.
    """

    __slots__ = ("_footprint", "_hint", "_limits", "_memory", "_records", "_turn", "_turns")

    def __init__(
        self, limits: Limits, footprint: Footprint, turns: FairSemaphore | None = None, *, hint: str = LIST_HINT
    ) -> None:
        self._limits = limits
        self._footprint = footprint
        self._hint = hint
        self._turns = turns
        self._turn = False
        self._records = self._memory = 0

    def add(self, count: int, source: bytes | Exact, json_bytes: int, received_bytes: int) -> None:
        """Count records before they are created. Raises LimitExceededError."""
        footprint = self._footprint
        self._records += count
        self._memory += RECORD_FLOOR_BYTES * count if isinstance(source, Exact) else footprint.of(count, source)
        check_count(self._limits, footprint, self._records, self._hint)
        if self._memory <= FREE_BYTES:
            return
        what, limit, most = "the records take too much memory", "list_bytes", self._limits.list_bytes
        if self._memory <= most and self._limits.list_records is None:
            what, limit, most = "the list expands to too much memory", "list_records", most_memory(received_bytes)
        if self._memory > most:
            error = LimitExceededError(what, limit=limit, limit_bytes=most, hint=self._hint)
            error.add_sizes(
                records=self._records, received_bytes=received_bytes, json_bytes=json_bytes, memory_bytes=self._memory
            )
            raise error

    def drop(self, count: int) -> None:
        """Forget the first of the records: a batch has been taken."""
        self._memory -= self._memory * count // self._records
        self._records -= count

    async def take_turn(self) -> None:
        """Wait for the turn to decompress, unless this list has it."""
        if self._turns is not None and not self._turn:
            if not self._turns.acquire_nowait():
                await self._turns.acquire()
            self._turn = True

    def leave_turn(self) -> None:
        """Let another list decompress: this one waits for the network, or has ended."""
        if self._turn and self._turns is not None:
            self._turn = False
            self._turns.release()
