"""The lists of a fake clinic's endpoints: records, encoded as one JSON array."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from arzamed_async import ConfigurationError, Doctor, OpenRecord

__all__ = ["DOCTORS", "PATIENTS", "SLOTS", "Listing", "Records"]

Records = Iterable[object] | Callable[[], Iterable[object]]

_PIECE_BYTES = 65_536


def _plain(value: object) -> object:
    """Return a value that the JSON encoder accepts, for one that it does not know."""
    if isinstance(value, Doctor):
        return {"name": value.name, "profileImage": value.profile_image}
    if isinstance(value, OpenRecord):
        return dict(value.data)
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
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


def _check_many(records: Any) -> None:
    if isinstance(records, (str, bytes, Mapping)) or not isinstance(records, Iterable):
        raise ConfigurationError("records must be a list of records (or a callable that returns one)")


class Listing:
    """One list endpoint of one clinic.

    Records given as an iterable are encoded once, here. Those of a callable are encoded again for each request, while
    they are sent, so that a list of any length takes no memory.
    """

    __slots__ = ("_convert", "_records", "body")

    def __init__(self, records: Records, convert: Callable[[object], object] | None = None) -> None:
        self.body: bytes | None = None
        self._convert = convert
        self._records = records if callable(records) else None
        if not callable(records):
            # A single text or mapping is iterable too, and would be served in pieces without an error.
            _check_many(records)
            self.body = b"".join(_pieces(records, convert))

    def pieces(self) -> Iterator[bytes]:
        """Return the JSON array, in pieces of about 64 KiB."""
        if self._records is not None:
            return _pieces(self._records(), self._convert)
        body = self.body or b""
        return (body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES))


DOCTORS = ("Dr. Inventata Uno", "Dr. Finto Due", "Dr. Esempio Terzo")
SLOTS = Listing(
    [
        {"inventedSlot": 1, "inventedStart": "2030-01-07T09:00:00+01:00", "inventedDoctor": "Dr. Inventata Uno"},
        {"inventedSlot": 2, "inventedStart": "2030-01-07T09:30:00+01:00", "inventedDoctor": "Dr. Finto Due"},
    ]
)
PATIENTS = Listing(
    [
        {"inventedPatient": 1, "inventedName": "Paziente Inventato Uno"},
        {"inventedPatient": 2, "inventedName": "Paziente Inventato Due"},
    ]
)
