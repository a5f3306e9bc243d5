"""The records of a fake clinic's endpoints, encoded as JSON: a list as one array, or one object."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import attrs

from arzamed_async import ConfigurationError, to_dict

__all__ = ["DOCTORS", "PATIENTS", "SLOTS", "Body", "Records", "as_doctor", "is_record", "list_body", "record_body"]

Records = Iterable[object] | Callable[[], Iterable[object]]

_PIECE_BYTES = 65_536


def _plain(value: object) -> object:
    """Return a value that the JSON encoder accepts, for one that it does not know."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if attrs.has(type(value)):
        return to_dict(value)
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    raise ConfigurationError(f"a record of a FakeArzamed cannot hold a {type(value).__name__}")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode


def as_doctor(record: object) -> object:
    """Return a doctor's record; a name alone becomes a doctor without a photo."""
    return {"name": record, "profileImage": None} if isinstance(record, str) else record


def _pieces(records: Iterable[object], convert: Callable[[object], object] | None) -> Iterator[bytes]:
    piece = bytearray(b"[")
    first = True
    for record in records:
        if not first:
            piece += b","
        first = False
        piece += _encode(convert(record) if convert else record).encode()
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    piece += b"]"
    yield bytes(piece)


class Body:
    """A body: `data` is None where it is encoded while it is sent, so that a list of any length takes no memory."""

    __slots__ = ("_pieces", "data")

    def __init__(self, pieces: Iterator[bytes], data: bytes | None = None) -> None:
        self._pieces = pieces
        self.data = data

    def pieces(self) -> Iterator[bytes]:
        """Return the body in pieces of about 64 KiB. One that is encoded while it is sent has them once."""
        data = self.data
        if data is None:
            return self._pieces
        return (data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES))


def is_record(value: object) -> bool:
    """Return whether this is one record, and no list of them: a mapping, or an object of an attrs class."""
    return isinstance(value, Mapping) or attrs.has(type(value))


def record_body(record: object) -> Body:
    """Return one record, encoded."""
    return Body(iter(()), _encode(record).encode())


def list_body(records: Any, convert: Callable[[object], object] | None = None, *, lazily: bool = False) -> Body:
    """Return a list of records as one JSON array, encoded here or (`lazily`) while it is sent."""
    # A single text or mapping is iterable too, and would be served in pieces without an error.
    if isinstance(records, (str, bytes, Mapping)) or not isinstance(records, Iterable):
        raise ConfigurationError("records must be a list of records (or a callable that returns one)")
    pieces = _pieces(cast("Iterable[object]", records), convert)
    return Body(pieces) if lazily else Body(iter(()), b"".join(pieces))


DOCTORS = ("Dr. Inventata Uno", "Dr. Finto Due", "Dr. Esempio Terzo")
SLOTS = (
    {"inventedSlot": 1, "inventedStart": "2030-01-07T09:00:00+01:00", "inventedDoctor": "Dr. Inventata Uno"},
    {"inventedSlot": 2, "inventedStart": "2030-01-07T09:30:00+01:00", "inventedDoctor": "Dr. Finto Due"},
)
PATIENTS = (
    {"inventedPatient": 1, "inventedName": "Paziente Inventato Uno"},
    {"inventedPatient": 2, "inventedName": "Paziente Inventato Due"},
)
