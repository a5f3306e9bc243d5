"""Records as plain values, in the API's own names."""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import orjson
import pytest
from attrs import Factory, field, frozen

from arzamed_async import ConfigurationError, Doctor, OpenRecord, Patient, Slot, to_dict
from arzamed_async._records.decoder import decoder_for

CANARY = "canary-5150"
SENT: dict[str, Any] = {
    "a": [1, 2.5, None, True, {"b": {"c": [[], {}, "x"]}}], "id": 12345678901234567890123, "text": CANARY, "empty": {},
}  # fmt: skip


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@frozen
class Address:
    street_name: str
    zip_code: str | None = None


@frozen
class Everything:
    first_name: str
    image_url: str = field(metadata={"json": "imageURL"})
    born_on: dt.date
    seen_at: dt.datetime
    opens: dt.time
    price: Decimal
    ident: UUID
    colour: Colour
    level: Level
    word: Word
    rights: Rights
    address: Address
    others: tuple[Address, ...]
    by_kind: Mapping[str, Address | None]
    tags: frozenset[str]
    scores: Sequence[float]
    slot: Slot
    anything: Any
    _hidden: int = 0
    derived: str = field(init=False, default="d")
    keys: list[str] = Factory(list)


RECORD = {
    "firstName": "x", "imageURL": "u", "bornOn": "2026-01-02", "seenAt": "2026-01-02T03:04:05+01:00", "opens": "09:30:00",
    "price": "1.00000000000000000001", "ident": "12345678-1234-5678-1234-567812345678", "colour": "red", "level": 1, "word": "a",
    "rights": 3, "address": {"streetName": "s", "zipCode": None}, "others": [{"streetName": "t", "zipCode": "1"}],
    "byKind": {"home": None, "work": {"streetName": "w", "zipCode": None}}, "tags": ["one"], "scores": [1.5],
    "slot": {"a": [{"b": 1}]}, "anything": {"k": [1, {"z": None}]}, "hidden": 3, "keys": ["k"],
}  # fmt: skip


def is_plain(value: object) -> bool:
    """Return whether a value consists of plain dicts, lists and values, at every depth."""
    if type(value) is dict:
        return all(type(key) is str and is_plain(each) for key, each in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return type(value) in (str, int, float, bool, type(None))


def test_a_record_is_the_object_that_it_was_read_from() -> None:
    """`to_dict` returns what a decoder reads as the same record: the API's names and plain values, at every depth."""
    (record,) = decoder_for(Everything).decode([RECORD], 0)
    made = to_dict(record)
    assert made == RECORD
    assert is_plain(made)
    assert decoder_for(Everything).decode([json.loads(json.dumps(made))], 0) == [record]
    assert orjson.loads(orjson.dumps(made)) == RECORD


@pytest.mark.parametrize("model", [OpenRecord, Slot, Patient])
def test_an_open_record_is_the_object_that_was_sent(model: Any) -> None:
    """`OpenRecord.to_dict()` and `to_dict(record)` return the object as sent, which any serialiser takes, and a new one each time."""
    record = model(SENT)
    for made in (record.to_dict(), to_dict(record)):
        assert made == SENT
        assert is_plain(made)
        assert json.loads(json.dumps(made)) == SENT
        made["a"].append(1)
        made["a"][4]["b"]["c"][1]["new"] = 1
    assert record == model(SENT)
    assert record.to_dict() == SENT


def test_a_record_of_the_package() -> None:
    """A doctor has the names of the vendor's page."""
    assert to_dict(Doctor("Dr. Inventata", None)) == {"name": "Dr. Inventata", "profileImage": None}


def test_what_users_put_into_records_becomes_plain() -> None:
    """Subclasses of str and numbers, open records and attrs objects in any container become plain as well."""

    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "not this"

    class Number(int):
        pass

    model = attrs.make_class("Row", {"it": field(type=Any)})
    it = [Text("x"), Number(5), Slot({"a": 1}), {Text("k"): Address("s")}, {1}, (Level.ONE,), {Word.A: 1}, dt.time(1)]
    made = to_dict(model(it))["it"]
    assert is_plain(made[:3] + made[4:])
    assert made == [
        "x",
        5,
        {"a": 1},
        {"not this": {"streetName": "s", "zipCode": None}},
        [1],
        [1],
        {"a": 1},
        "01:00:00",
    ]


@pytest.mark.parametrize("value", [b"canary", Path("canary"), dt.timedelta(1), 1j, object()])
def test_what_has_no_plain_form_is_named(value: object) -> None:
    """A value that JSON does not have is a ConfigurationError with its class, field and type, and not the value."""
    model = attrs.make_class("Row", {"it": field(type=Any)})
    outer = attrs.make_class("Outer", {"inner": field(type=Any)})
    with pytest.raises(
        ConfigurationError, match=rf"^Slot\.data: a value of type {type(value).__name__} has no plain form"
    ):
        to_dict(Slot({"it": [value]}))
    with pytest.raises(
        ConfigurationError, match=f"^Row.it: a value of type {type(value).__name__} has no plain form"
    ) as caught:
        to_dict(outer([model(value)]))
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, {"a": 1}, "text", [Doctor("x", None)], Doctor])
def test_what_is_no_record_is_refused(value: object) -> None:
    """`to_dict` takes an object of an attrs class, and states so for anything else."""
    with pytest.raises(ConfigurationError, match=f"not a {type(value).__name__}"):
        to_dict(value)
