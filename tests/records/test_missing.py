"""MISSING: a field that the record did not have, told apart from null."""

from __future__ import annotations

import copy
import json
import pickle
import pickletools
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar

import attrs
import pytest
from attrs import Factory, field, frozen

from arzamed_async import MISSING, ConfigurationError, DecodeError, Missing, to_dict
from arzamed_async._records.decoder import Decoder, decoder_for

T = TypeVar("T")


@frozen
class Bed:
    number: int
    side: str | Missing = MISSING


@frozen
class Room:
    """Each kind of hook reads one of its fields: generated checks, scalars, unions, classes, lists, dicts."""

    id: int
    floor: str | Missing | None = MISSING
    open: bool | Missing = MISSING
    height: float | Missing | None = MISSING
    code: int | str | Missing = MISSING
    bed: Bed | Missing | None = MISSING
    beds: tuple[Bed, ...] | Missing = MISSING
    by_name: dict[str, Bed | None] | Missing = MISSING
    word: Annotated[str | Missing, "a word"] = MISSING
    anything: Any = MISSING


class Kind(Enum):
    A = "a"


@frozen
class One:
    kind: Kind | Missing = MISSING
    only_one: int | Missing = MISSING


@frozen
class Two:
    only_two: int | Missing = MISSING


def read(model: Any, *records: dict[str, Any]) -> list[Any]:
    """Return the records that a decoder makes of these."""
    return decoder_for(model).decode(list(records), 0)


FULL: dict[str, Any] = {
    "id": 1, "floor": "2", "open": False, "height": 2.5, "code": "x", "bed": {"number": 1, "side": "left"},
    "beds": [{"number": 1}, {"number": 2, "side": ""}], "byName": {"a": None, "b": {"number": 3}}, "word": "MISSING", "anything": [None],
}  # fmt: skip


@pytest.mark.parametrize("key", [None, *list(FULL)[1:]])
def test_an_absent_key_is_missing_and_stays_absent(key: str | None) -> None:
    """Without a key its field is MISSING, the other fields are as before, and `to_dict` returns the same object."""
    sent = {name: value for name, value in FULL.items() if name != key}
    (room,) = read(Room, sent)
    missing = {each.name for each in attrs.fields(Room) if getattr(room, each.name) is MISSING}
    assert len(missing) == (key is not None)
    assert to_dict(room) == sent
    assert read(Room, json.loads(json.dumps(to_dict(room)))) == [room]


def test_null_and_missing_are_told_apart() -> None:
    """Null is None where the type has None, and an error where it has not; absent is MISSING in both."""
    absent, null = read(Room, {"id": 1}, {"id": 1, "floor": None})
    assert (absent.floor, null.floor) == (MISSING, None)
    assert absent != null
    with pytest.raises(DecodeError, match="expected true or false, found null") as refused:
        read(Room, {"id": 1, "open": None})
    assert refused.value.field == "open"


@pytest.mark.parametrize("text", ["MISSING", "missing", "Missing", "Missing.MISSING", ""])
def test_no_json_becomes_missing(text: str) -> None:
    """A text that reads like MISSING stays a text where there is one, and is refused where there is none."""
    (room,) = read(Room, {"id": 1, "floor": text, "code": text, "word": text, "anything": text, "byName": {text: None}})
    assert [type(each) for each in (room.floor, room.code, room.word, room.anything)] == [str] * 4
    for key in ("open", "height", "bed", "beds"):
        with pytest.raises(DecodeError, match="found text"):
            read(Room, {"id": 1, key: text})


def test_nested_classes_have_missing_fields() -> None:
    """In a list, a dict and a union of classes the fields of each object are its own."""
    (room,) = read(Room, FULL)
    assert [bed.side for bed in room.beds] == [MISSING, ""]
    assert room.by_name["b"].side is MISSING
    assert to_dict(room) == FULL


def test_the_generic_class_of_a_type_that_may_be_missing() -> None:
    """A type variable can stand for `T | Missing`."""

    @frozen
    class Box(Generic[T]):
        value: T = field(default=MISSING)  # type: ignore[assignment]

    assert read(Box[int | Missing], {}, {"value": 1}) == [Box(), Box(1)]  # type: ignore[arg-type]


def test_missing_is_one_object() -> None:
    """Copies and pickles of any protocol are the object itself; it is false, and shows its name."""
    copies = [copy.copy(MISSING), copy.deepcopy(MISSING), copy.deepcopy([MISSING])[0], Missing.MISSING]
    copies += [pickle.loads(pickle.dumps(MISSING, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    assert all(each is MISSING for each in copies)
    assert not MISSING
    assert (repr(MISSING), str(MISSING), f"{MISSING}") == ("MISSING",) * 3
    assert list(Missing) == [MISSING]
    assert MISSING not in (None, "MISSING", 0, "")
    assert pickletools.optimize(pickle.dumps(Room(1))) != pickle.dumps(Room(1, floor=None))
    assert pickle.loads(pickle.dumps(Room(1))) == Room(1)


def test_a_record_shows_what_is_missing() -> None:
    """The repr of a record has MISSING as one writes it."""
    assert repr(Bed(1)) == "Bed(number=1, side=MISSING)"
    assert eval(repr(Bed(1))) == Bed(1)


@pytest.mark.parametrize(
    ("kind", "default", "words"),
    [
        (list[int | Missing], MISSING, "belongs to the type of a field"),
        (dict[str, Missing], Factory(dict), "belongs to the type of a field"),
        (list[Missing] | None, None, "belongs to the type of a field"),
        (str | Missing, attrs.NOTHING, "has no default: write T | Missing = MISSING"),
        (Missing, MISSING, "cannot be read from JSON"),
        (Literal[Missing.MISSING], MISSING, "a Literal from JSON is"),
    ],
)
def test_missing_stands_at_a_field_alone(kind: Any, default: Any, words: str) -> None:
    """Elsewhere, or without a default, it is a ConfigurationError that names class and field, where the decoder is made."""
    model = attrs.make_class("Row", {"it": field(type=kind, default=default)})
    with pytest.raises(ConfigurationError, match=r"Row\.it") as refused:
        Decoder(model)
    assert words in str(refused.value)


def test_missing_inside_a_value_has_no_plain_form() -> None:
    """MISSING in a list is a ConfigurationError of to_dict: JSON has no such element."""
    with pytest.raises(ConfigurationError, match=r"Room\.anything: MISSING has no plain form"):
        to_dict(Room(1, anything=[MISSING]))


def test_the_order_of_a_union_stays() -> None:
    """`float | int | Missing` is read as `float | int` is."""
    model = attrs.make_class("Row", {"it": field(type=float | int | Missing, default=MISSING)})
    (row,) = read(model, {"it": 1})
    assert type(row.it) is float


def test_classes_whose_fields_may_be_missing_in_a_union() -> None:
    """A class is chosen by the keys that it knows, those that may be missing among them."""
    model = attrs.make_class("Row", {"it": field(type=One | Two)})
    rows = read(model, {"it": {"onlyTwo": 1}}, {"it": {"onlyOne": 1, "kind": "a"}})
    assert [row.it for row in rows] == [Two(1), One(Kind.A, 1)]
