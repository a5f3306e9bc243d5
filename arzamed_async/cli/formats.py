"""Records as text: ndjson, json and csv are encoded one by one, a table when all have come."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol, cast

from .encoding import Item, fields, json_text
from .voice import clean, is_terminal

__all__ = ["Format", "Writer", "writer_for"]


class Format(StrEnum):
    """What `--format` takes."""

    table = "table"
    json = "json"
    ndjson = "ndjson"
    csv = "csv"


class Writer(Protocol):
    """Makes bytes of records. `encode` is called as they arrive, `piece` in the order in which they are written."""

    def head(self) -> bytes:
        """Return what comes first."""
        ...

    def encode(self, clinic: str, record: Item) -> bytes:
        """Return one record's bytes. Raises DecodeError where it has no text."""
        ...

    def piece(self, encoded: bytes) -> bytes:
        """Return an encoded record with what stands between it and the one before."""
        ...

    def tail(self, most: int | None = None, /) -> bytes:
        """Return what comes last: of records that were kept for it, `most` at most."""
        ...


def writer_for(kind: Format, *, open_records: bool) -> Writer:
    """Return the writer of a format."""
    if kind is Format.table:
        from .table import TableWriter

        return TableWriter(open_records=open_records)
    if kind is Format.csv:
        return CsvWriter(open_records=open_records, terminal=is_terminal(sys.stdout))
    return JsonWriter() if kind is Format.json else NdjsonWriter()


class NdjsonWriter:
    """One JSON object in each line."""

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def encode(self, clinic: str, record: Item) -> bytes:
        """Return a line without its end."""
        return json_text({"clinic": clinic, **fields(record)}, clinic)

    def piece(self, encoded: bytes) -> bytes:
        """Return a line."""
        return encoded + b"\n"

    def tail(self, _most: int | None = None, /) -> bytes:
        """Return nothing."""
        return b""


class JsonWriter(NdjsonWriter):
    """One JSON array, an object in each line: whole also where some clinics failed, or Ctrl-C came."""

    def __init__(self) -> None:
        self._first = True

    def head(self) -> bytes:
        """Open the array."""
        return b"["

    def piece(self, encoded: bytes) -> bytes:
        """Return a line; the comma belongs to the one before."""
        between = b"\n" if self._first else b",\n"
        self._first = False
        return between + encoded

    def tail(self, _most: int | None = None, /) -> bytes:
        """Close the array."""
        return b"]\n" if self._first else b"\n]\n"


#: What a spreadsheet takes for a formula at the beginning of a cell, also in full width; and where a cell may begin for
#: one that is set to semicolons (Italian Excel) or tabs.
_FORMULA = re.compile(r"(^|[;\t\r\n])(?=[\"'\s]*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def _cell(text: str) -> str:
    return _FORMULA.sub(r"\1'", text)


class CsvWriter:
    """RFC 4180 with a header, line ends of one character, and cells that no spreadsheet takes for formulas."""

    def __init__(self, *, open_records: bool, terminal: bool = False) -> None:
        self._columns = ("clinic", "data") if open_records else ("clinic", "name", "profileImage")
        self._terminal = terminal

    def head(self) -> bytes:
        """Return the header."""
        return self._line(self._columns)

    def encode(self, clinic: str, record: Item) -> bytes:
        """Return a row. An open record's `data` is JSON; its semicolons are written as escapes."""
        cells = [_cell(clinic)]
        for value in fields(record).values():
            if isinstance(value, Mapping):
                cells.append(json_text(cast("Mapping[str, Any]", value), clinic).decode().replace(";", "\\u003b"))
            else:
                cells.append(_cell(str(value)) if value is not None else "")
        return self._line(cells)

    def piece(self, encoded: bytes) -> bytes:
        """Return a row."""
        return encoded

    def tail(self, _most: int | None = None, /) -> bytes:
        """Return nothing."""
        return b""

    def _line(self, cells: tuple[str, ...] | list[str]) -> bytes:
        if self._terminal:
            cells = [clean(cell) for cell in cells]
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        return line.getvalue().encode()
