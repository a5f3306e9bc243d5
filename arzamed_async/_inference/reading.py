"""Reads records as windows of JSON objects: of a stream as they are decoded, of anything else in groups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, cast

from .._arguments import described
from .._readers.raw import raw_windows
from .._readers.stream import RecordStream
from ..errors import ConfigurationError
from .plain import plain_record

__all__ = ["Records", "check_records", "read_windows", "windows"]

#: What records can be read from.
Records = AsyncIterable[object] | Iterable[object]

_WINDOW = 128


def check_records(records: Any) -> None:
    """Raise ConfigurationError for what is not a stream or list of records."""
    if isinstance(records, (str, bytes, Mapping)) or not isinstance(records, (AsyncIterable, Iterable)):
        raise ConfigurationError(
            "records must be a stream or list of records, such as clinic.slots.stream(), not "
            + described(cast("object", records))
        )


async def windows(records: Records, most: int | None) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Yield records in lists, `most` altogether. A stream is closed at the end."""
    window: list[dict[str, Any]] = []
    left = most
    source = raw_windows(records) if isinstance(records, RecordStream) else _grouped(records)
    try:
        async with aclosing(source):
            async for window in source:
                if left is None or len(window) < left:
                    yield window
                    left = None if left is None else left - len(window)
                    continue
                yield window[:left]
                return
    finally:
        window = []


async def read_windows(records: Records, most: int | None, use: Callable[[list[dict[str, Any]]], None]) -> None:
    """Call `use` with the records in lists, `most` altogether. No frame shows them afterwards."""
    window: list[dict[str, Any]] = []
    try:
        async with aclosing(windows(records, most)) as found:
            async for window in found:
                use(window)
    finally:
        window, records = [], ()


async def _grouped(records: Records) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Group records. Other tasks get a turn after each group."""
    group: list[dict[str, Any]] = []
    record: object = None
    count = 0
    each = _each(records)
    try:
        async with aclosing(each):
            async for record in each:
                group.append(plain_record(record, count))
                count += 1
                if len(group) == _WINDOW:
                    yield group
                    group = []
                    await asyncio.sleep(0)
        if group:
            yield group
    finally:
        group, record = [], None


async def _each(records: Records) -> AsyncGenerator[object, None]:
    record: object = None
    try:
        if not isinstance(records, AsyncIterable):
            for record in records:
                yield record
            return
        found: AsyncIterator[object] = aiter(records)
        try:
            async for record in found:
                yield record
        finally:
            if isinstance(found, AsyncGenerator):  # left half-way, it would be closed by the collector
                await found.aclose()
    finally:
        record = None
