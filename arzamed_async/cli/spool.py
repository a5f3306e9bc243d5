"""Records of clinics that are not finished: a little of each in memory, the rest in one temporary file without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from .destination import unwritten

__all__ = ["Spool"]

#: What a clinic has in memory at most, but for one record; and the unit in which the file is used again.
BLOCK_BYTES = 65_536
_LENGTH_BYTES = 4


class Spool:
    """Keeps encoded records for each clinic until they are taken or dropped.

    The file is created at need, with mode 0600 and where possible without a name: nothing is left of it, however the
    process ends. Blocks that were taken are used again. Raises OutputError where it cannot be written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._blocks = 0
        self._free: list[int] = []
        self._memory: dict[str, bytearray] = {}
        self._spilled: dict[str, list[int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    @property
    def file_bytes(self) -> int:
        """The size of the file."""
        return self._blocks * BLOCK_BYTES

    def add(self, clinic: str, record: bytes) -> None:
        """Keep a record."""
        memory = self._memory.setdefault(clinic, bytearray())
        memory += len(record).to_bytes(_LENGTH_BYTES, "big")
        memory += record
        while len(memory) >= BLOCK_BYTES:
            self._spilled.setdefault(clinic, []).append(self._write(memory[:BLOCK_BYTES]))
            del memory[:BLOCK_BYTES]

    def take(self, clinic: str) -> Iterator[bytes]:
        """Yield a clinic's records in their order, and forget them."""
        left = bytearray()
        for part in self._parts(clinic):
            left += part
            start = 0
            while len(left) - start >= _LENGTH_BYTES:
                begin = start + _LENGTH_BYTES
                end = begin + int.from_bytes(left[start:begin], "big")
                if end > len(left):
                    break
                yield bytes(left[begin:end])
                start = end
            del left[:start]

    def drop(self, clinic: str) -> None:
        """Forget a clinic's records."""
        self._memory.pop(clinic, None)
        self._free += self._spilled.pop(clinic, [])

    def _parts(self, clinic: str) -> Iterator[bytes | bytearray]:
        for number in self._spilled.pop(clinic, []):
            yield self._read(number)
            self._free.append(number)
        yield self._memory.pop(clinic, b"")

    def _write(self, block: bytearray) -> int:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, prefix=".arzamed-")  # noqa: SIM115 - closed at the end
            number = self._free.pop() if self._free else self._blocks
            self._file.seek(number * BLOCK_BYTES)
            self._file.write(block)
        except OSError as error:
            raise unwritten(f"a temporary file in {self._folder or tempfile.gettempdir()}", error) from None
        self._blocks = max(self._blocks, number + 1)
        return number

    def _read(self, number: int) -> bytes:
        if self._file is None:
            return b""
        try:
            self._file.seek(number * BLOCK_BYTES)  # which writes what is buffered
            return self._file.read(BLOCK_BYTES)
        except OSError as error:
            raise unwritten(f"a temporary file in {self._folder or tempfile.gettempdir()}", error) from None
