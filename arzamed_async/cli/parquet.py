"""Records as Parquet: row groups of bounded size, so that memory does not grow with the list."""

from __future__ import annotations

import importlib
from typing import Any

import orjson

from arzamed_async import ConfigurationError, Doctor
from arzamed_async._extras import missing_package

from .encoding import Item, fields, json_text

__all__ = ["ParquetWriter"]

#: A row group is written when it has this many rows, or this much text.
_ROWS, _TEXT_BYTES = 20_000, 8_388_608


class _Sink:
    """The file that pyarrow writes to: it keeps the bytes until they are taken."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._written = 0
        self.closed = False

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._data += data
        self._written += size
        return size

    def tell(self) -> int:
        return self._written

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        """Do nothing: the bytes are taken by the writer."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class ParquetWriter:
    """Columns of text: clinic, name and profileImage, or clinic and `data` (an open record as JSON).

    Raises ConfigurationError where pyarrow is not installed.
    """

    def __init__(self, *, open_records: bool) -> None:
        parquet: Any = None
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            parquet = importlib.import_module("pyarrow.parquet")
        except ModuleNotFoundError:
            problem = missing_package("--format parquet", "pyarrow", "parquet")
        else:
            problem = ""
        if problem:
            raise ConfigurationError(problem)
        text = self._arrow.string()
        names = ["data"] if open_records else ["name", "profileImage"]
        columns = [self._arrow.field("clinic", text, nullable=False)]
        columns += [self._arrow.field(name, text, nullable=name == "profileImage") for name in names]
        self._schema: Any = self._arrow.schema(columns)
        self._sink = _Sink()
        self._file: Any = parquet.ParquetWriter(self._sink, self._schema)
        self._rows: list[list[str | None]] = []
        self._bytes = 0

    def head(self) -> bytes:
        """Return the first bytes of the file."""
        return self._sink.take()

    def encode(self, clinic: str, record: Item) -> bytes:
        """Return the row as JSON, which `piece` collects."""
        values = list(fields(record).values())
        if not isinstance(record, Doctor):
            values = [json_text(record.data, clinic).decode()]
        return orjson.dumps([clinic, *values])

    def piece(self, encoded: bytes) -> bytes:
        """Collect a row; return the row group that it completes, if it does."""
        self._rows.append(orjson.loads(encoded))
        self._bytes += len(encoded)
        return self._group() if len(self._rows) >= _ROWS or self._bytes >= _TEXT_BYTES else b""

    def drop(self, clinic: str) -> None:
        """Do nothing."""

    def tail(self, _most: int | None = None, /) -> bytes:
        """Return the last row group and the end of the file."""
        last = self._group() if self._rows else b""
        self._file.close()
        return last + self._sink.take()

    def _group(self) -> bytes:
        columns = [self._arrow.array(column, self._arrow.string()) for column in zip(*self._rows, strict=True)]
        self._rows, self._bytes = [], 0
        self._file.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema), row_group_size=_ROWS)
        return self._sink.take()
