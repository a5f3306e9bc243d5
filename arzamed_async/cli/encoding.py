"""A record as JSON and as named fields: what all formats share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import orjson

from arzamed_async import DecodeError, Doctor, OpenRecord

__all__ = ["Item", "fields", "json_text"]

Item = Doctor | OpenRecord


def fields(record: Item) -> dict[str, object]:
    """Return a record's fields under the API's own names; fields that the vendor has not published are in `data`."""
    if isinstance(record, Doctor):
        return {"name": record.name, "profileImage": record.profile_image}
    return {"data": record.data}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise TypeError


#: JSON may hold these unescaped, and a terminal would act on them: DEL and the control characters of Latin-1, in UTF-8.
_CONTROL = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def json_text(value: object, clinic: str) -> bytes:
    """Return JSON in one line, without control characters. Raises DecodeError for a value nested too deeply."""
    try:
        return _CONTROL.sub(_escaped, orjson.dumps(value, default=_plain))
    except TypeError:  # orjson's own limit; its text is of no use, and its frames hold the record
        pass
    raise DecodeError("a record is nested too deeply to be written (over 250 levels)", clinic=clinic)
