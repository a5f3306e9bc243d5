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

from arzamed_async import Doctor, LimitExceededError

from .encoding import Item, json_text
from .messages import cut, printable

__all__ = ["TableWriter"]

#: With more columns than this a table is unreadable, and the record is shown as JSON.
_MOST_COLUMNS = 8
#: The most rows of a clinic: they are kept, and a small response may expand to millions. (Open records first, then doctors.)
_MOST_OPEN_ROWS, _MOST_ROWS = 50_000, 200_000
#: Of a longer cell the beginning is shown, and its length: one value of a megabyte would take many seconds to lay out.
_HEADING_LENGTH, _CELL_LENGTH = 100, 4000


class TableWriter:
    """Keeps the records until the end. Each key of an open record is a column, up to a limit."""

    def __init__(self, *, open_records: bool) -> None:
        self._open = open_records
        self._rows: dict[str, list[dict[str, object]]] = {}
        self._keys: dict[str, None] = {}  # in the order of first arrival

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def encode(self, clinic: str, record: Item) -> bytes:
        """Keep the record. A clinic with too many fails, and none of its rows is kept."""
        if isinstance(record, Doctor):
            row: dict[str, object] = {"Name": record.name, "Photo": record.profile_image}
        else:
            json_text(
                record.data, clinic
            )  # a record that cannot be encoded fails its clinic here, and not the table at the end
            row = dict(record.data)
            if len(self._keys) <= _MOST_COLUMNS:
                self._keys.update(dict.fromkeys(row))
        rows = self._rows.setdefault(clinic, [])
        most = _MOST_OPEN_ROWS if self._open else _MOST_ROWS
        if len(rows) >= most:
            del self._rows[clinic]
            what = f"a table has at most {most:,} rows of a clinic"
            raise LimitExceededError(
                what,
                limit="list_records",
                limit_records=most,
                hint="The formats ndjson, json and csv have no limit",
                clinic=clinic,
            )
        rows.append(row)
        return b""

    def piece(self, encoded: bytes) -> bytes:
        """Return nothing."""
        return b""

    def drop(self, clinic: str) -> None:
        """Forget the rows of a clinic."""
        self._rows.pop(clinic, None)

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
        return "\n".join(lines).strip("\n").encode(errors="replace") + b"\n"

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
