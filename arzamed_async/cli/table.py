"""Records as a table: collected first, then grouped by clinic in the order of first arrival."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import cast

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from arzamed_async import Doctor

from .encoding import Item, json_text
from .messages import cut, printable

__all__ = ["TableWriter"]

#: With more columns than this a table is unreadable, and the record is shown as JSON.
_MOST_COLUMNS = 8
#: The most rows, which are kept and take half a millisecond each to lay out: a small response may expand to millions.
_MOST_ROWS = 5_000
#: Of a longer cell the beginning is shown, and its length: one value of a megabyte would take many seconds to lay out.
_HEADING_LENGTH, _CELL_LENGTH = 100, 4000


class TableWriter:
    """Keeps the records until the end. Each key of an open record is a column, up to a limit."""

    def __init__(self, *, open_records: bool, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._open = open_records
        self._rows: dict[str, list[dict[str, object]]] = {}
        self._count = 0
        #: The number of records of each clinic that are not in the table.
        self.left_out: dict[str, int] = {}
        self._keys: dict[str, None] = {}  # in the order of first arrival

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def encode(self, clinic: str, record: Item) -> bytes:
        """Keep the record, or count it where there are too many."""
        if isinstance(record, Doctor):
            row: dict[str, object] = {"Name": record.name, "Photo": record.profile_image}
        else:
            json_text(
                record.data, clinic
            )  # a record that cannot be encoded fails its clinic here, and not the table at the end
            row = dict(record.data)
            if len(self._keys) <= _MOST_COLUMNS:
                self._keys.update(dict.fromkeys(row))
        if self._count < _MOST_ROWS:
            self._rows.setdefault(clinic, []).append(row)
            self._count += 1
        else:
            self.left_out[clinic] = self.left_out.get(clinic, 0) + 1
        return b""

    def notice(self) -> str:
        """Return a line on the records that are not in the table, empty where all are."""
        more = sum(self.left_out.values())
        all_of_them = "--format csv or ndjson writes all, with --output FILE to a file"
        return f"the table has {self._count:,} of {self._count + more:,} records: {all_of_them}" if more else ""

    def piece(self, encoded: bytes) -> bytes:
        """Return nothing."""
        return b""

    def drop(self, clinic: str) -> None:
        """Forget the rows of a clinic."""
        self._count -= len(self._rows.pop(clinic, ()))
        self.left_out.pop(clinic, None)

    def tail(self, most: int | None = None, /) -> bytes:
        """Return the table, with at most `most` rows; nothing if there is no record."""
        if not self._rows:
            return b""
        columns = list(self._keys) if self._open else ["Name", "Photo"]
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("Clinic", overflow="fold")
        as_json = len(columns) > _MOST_COLUMNS
        for name in ["Data"] if as_json else columns:
            table.add_column(Text(cut(printable(name), _HEADING_LENGTH)), overflow="fold")
        for clinic, row in islice(self._in_order(), most):
            cells = [_cell(row, clinic)] if as_json else [_cell(row.get(name), clinic) for name in columns]
            table.add_row(Text(printable(clinic)), *cells)
        console = Console(file=sys.stdout)
        with console.capture() as captured:
            console.print(table)
        lines = (line.rstrip() for line in captured.get().split("\n"))
        text = "\n".join(lines).strip("\n") + "\n"
        # What the terminal has no character for is a question mark there.
        return text.encode(self._encoding, errors="replace")

    def _in_order(self) -> Iterator[tuple[str, dict[str, object]]]:
        return ((clinic, row) for clinic, rows in self._rows.items() for row in rows)


def _cell(value: object, clinic: str) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, str):
        return Text(cut(printable(value), _CELL_LENGTH))
    if isinstance(value, Mapping):
        value = dict(cast("Mapping[str, object]", value))
    return Text(cut(printable(json_text(value, clinic).decode()), _CELL_LENGTH))
