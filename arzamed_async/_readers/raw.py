"""Reads a stream that has not begun as JSON objects, without making records of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from .._records.raw import RawDecoder
from ..errors import ConfigurationError
from .stream import RecordStream, ResumingReader

__all__ = ["raw_windows"]

# pyright: reportPrivateUsage=false


def raw_windows(stream: RecordStream[Any]) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Return the objects of the list in lists, as decoded. The stream itself is at its end.

    Raises ConfigurationError if records were read from it.
    """
    aiter(stream)  # which raises if it was read to its end
    reader: ResumingReader[Any] = stream._reader  # noqa: SLF001 - of this package
    if reader.task is not None:
        raise ConfigurationError("records were read from this stream: call stream() again for a new one")
    raw = ResumingReader[Any](reader._request, RawDecoder(), reader._errors)  # noqa: SLF001
    reader.leave()
    return raw.batches(None)
