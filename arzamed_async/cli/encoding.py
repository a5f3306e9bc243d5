"""A record as JSON and as named fields: what all formats share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

import orjson

from arzamed_async import DecodeError, Doctor, OpenRecord

from .invisible import INVISIBLE

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


#: JSON may hold these unescaped, and a terminal would act on them, or show other text than there is.
_INVISIBLE = re.compile(f"[{INVISIBLE}]")


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def json_text(value: object, clinic: str) -> bytes:
    """Return JSON in one line, invisible characters escaped. Raises DecodeError for a value nested too deeply."""
    try:
        text = orjson.dumps(value, default=_plain)
    except TypeError:  # orjson's own limit; its text is of no use, and its frames hold the record
        text = b""
    if not text:
        raise DecodeError("a record is nested too deeply to be written (over 250 levels)", clinic=clinic)
    if text.isascii() and b"\x7f" not in text:
        return text
    return _INVISIBLE.sub(_escaped, text.decode()).encode()
