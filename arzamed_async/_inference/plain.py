"""Takes records of a caller's as JSON: mappings, tuples, OpenRecords and subclasses become what `json.loads` returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..errors import ConfigurationError
from ..models import OpenRecord

__all__ = ["plain_column", "plain_record"]


def plain_column(kind: type[Any], column: list[Any]) -> tuple[type[Any], list[Any]]:
    """Return values of one class as those of a class that JSON has. What they hold is not converted.

    Raises ConfigurationError for a class that JSON does not have.
    """
    if issubclass(kind, Mapping):
        return dict, [dict(each) for each in column]
    for base in (str, int, float, list, tuple):
        if issubclass(kind, base):
            plain: type[Any] = list if base is tuple else base
            return plain, [base.__str__(each) if base is str else plain(each) for each in column]
    raise ConfigurationError(
        f"a record holds a value of the class {kind.__name__}, which JSON does not have:"
        " give records as they are received, such as OpenRecords or what json.loads returns"
    )


def plain_record(record: object, index: int) -> dict[str, Any]:
    """Return a record as a dict. Raises ConfigurationError for what is none."""
    if isinstance(record, dict):
        return cast("dict[str, Any]", record)
    if isinstance(record, OpenRecord):
        return dict(record.data)
    if isinstance(record, Mapping):
        return dict(cast("Mapping[str, Any]", record))
    raise ConfigurationError(
        f"record {index}: the record must be an OpenRecord or a mapping, not {type(record).__name__}"
    )
