"""Records as bytes: ndjson, json, csv and Parquet as they arrive, a table once all have arrived."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol, cast

from .encoding import Item, fields, json_text
from .excel import BYTE_ORDER_MARK, decimal_sign, without_commas
from .invisible import CONTROLS, INVISIBLE, SPACES
from .messages import printable

__all__ = ["Format", "Writer", "writer_for"]


class Format(StrEnum):
    """The values of `--format`."""

    table = "table"
    json = "json"
    ndjson = "ndjson"
    csv = "csv"
    excel_csv = "excel-csv"
    parquet = "parquet"


class Writer(Protocol):
    """Encodes records. `encode` is called as they arrive, `piece` in the order in which they are written."""

    def head(self) -> bytes:
        """Return the bytes before the first record."""
        ...

    def encode(self, clinic: str, record: Item) -> bytes:
        """Return one record's bytes. Raises DecodeError where it cannot be encoded."""
        ...

    def piece(self, encoded: bytes) -> bytes:
        """Return an encoded record with the separator before or after it."""
        ...

    def drop(self, clinic: str) -> None:
        """Forget the records of a clinic, where the format keeps them until the end."""
        ...

    def tail(self, most: int | None = None, /) -> bytes:
        """Return the bytes after the last record; a table returns its rows here, at most `most`."""
        ...


def writer_for(kind: Format, *, open_records: bool, terminal: bool = False, encoding: str = "utf-8") -> Writer:
    """Return the writer of a format. `encoding` is that of a table."""
    if kind is Format.table:
        from .table import TableWriter

        return TableWriter(open_records=open_records, encoding=encoding)
    if kind is Format.parquet:
        from .parquet import ParquetWriter

        return ParquetWriter(open_records=open_records)
    if kind is Format.excel_csv:
        return CsvWriter(open_records=open_records, terminal=terminal, excel=True)
    if kind is Format.csv:
        return CsvWriter(open_records=open_records, terminal=terminal)
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

    def drop(self, clinic: str) -> None:
        """Do nothing."""

    def tail(self, _most: int | None = None, /) -> bytes:
        """Return nothing."""
        return b""


class JsonWriter(NdjsonWriter):
    """One JSON array, an object in each line: closed even where clinics failed, or after Ctrl-C."""

    def __init__(self) -> None:
        self._first = True

    def head(self) -> bytes:
        """Open the array."""
        return b"["

    def piece(self, encoded: bytes) -> bytes:
        """Return a line, after the comma that ends the one before."""
        between = b"\n" if self._first else b",\n"
        self._first = False
        return between + encoded

    def tail(self, _most: int | None = None, /) -> bytes:
        """Close the array."""
        return b"]\n" if self._first else b"\n]\n"


_CONTROL = re.compile(f"[{CONTROLS}]")


_SEPARATOR = re.compile(r"[,;\t\r\n]")
#: Where a cell begins, also for a spreadsheet that separates by semicolons (Italian Excel) or tabs; what a spreadsheet
#: may pass over there; and the sign of a formula, full-width and small ones too. Each run is read once: a match that
#: required the sign would be tried again at each tab of it.
_BEGINNING = re.compile(
    rf"(?:^|[;\t\r\n])[\"'{SPACES}{INVISIBLE}]*+"
    r"(?=([=+\-@\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20])?)"
)
#: The same in a file of semicolons, which another spreadsheet separates by commas.
_ANY_BEGINNING = re.compile(
    rf"(?:^|[,;\t\r\n])[\"'{SPACES}{INVISIBLE}]*+"
    r"(?=([=+\-@\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20])?)"
)


def _cell(text: str, separator: str) -> str:
    """Return a cell's text: an apostrophe before what a spreadsheet would run, a mark for each control character."""
    text = _BEGINNING.sub(_disarmed, text) if separator == "," else _ANY_BEGINNING.sub(_disarmed, text)
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _disarmed(found: re.Match[str]) -> str:
    text = found[0]
    if found[1]:
        text = _SEPARATOR.sub(r"\g<0>'", text)
        return text if found.start() else "'" + text
    # A tab or a line break at the beginning may be dropped on the way, and what follows becomes the beginning.
    return "'" + text if found.start() == 0 and _SEPARATOR.search(text) else text


class CsvWriter:
    """RFC 4180 with a header, single-character line ends, and no cell that a spreadsheet would run as a formula.

    With `excel` it opens with a double click: a mark of UTF-8, and semicolons where the decimal sign is a comma.
    """

    def __init__(self, *, open_records: bool, terminal: bool = False, excel: bool = False) -> None:
        self._mark = BYTE_ORDER_MARK if excel else b""
        self._separator = ";" if excel and decimal_sign() == "," else ","
        self._columns = ("clinic", "data") if open_records else ("clinic", "name", "profileImage")
        self._terminal = terminal

    def head(self) -> bytes:
        """Return the header."""
        return self._mark + self._line(self._columns)

    def encode(self, clinic: str, record: Item) -> bytes:
        """Return a row. An open record's `data` is JSON; in its text, other separators are written as escapes."""
        cells = [_cell(clinic, self._separator)]
        for value in fields(record).values():
            if isinstance(value, Mapping):
                text = json_text(cast("Mapping[str, Any]", value), clinic).decode().replace(";", "\\u003b")
                cells.append(without_commas(text) if self._separator == ";" else text)
            else:
                cells.append(_cell(str(value), self._separator) if value is not None else "")
        return self._line(cells)

    def piece(self, encoded: bytes) -> bytes:
        """Return a row."""
        return encoded

    def drop(self, clinic: str) -> None:
        """Do nothing."""

    def tail(self, _most: int | None = None, /) -> bytes:
        """Return nothing."""
        return b""

    def _line(self, cells: tuple[str, ...] | list[str]) -> bytes:
        if self._terminal:
            cells = [printable(cell) for cell in cells]
        line = io.StringIO()
        csv.writer(line, delimiter=self._separator).writerow(
            cells
        )  # before Python 3.13 it quotes a line break only if it is one of its line end's
        return line.getvalue().removesuffix("\r\n").encode() + b"\n"
