"""Keys that nested classes do not know, choices among classes, and what errors say of the values that are allowed."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional

import attrs
import pytest
from attrs import field, frozen

from arzamed_async import ConfigurationError, DecodeError, OpenRecord
from arzamed_async._records.decoder import decoder_for
from arzamed_async._records.shape import MOST_SHAPES, Shape


@frozen
class Address:
    city: str
    zip_code: str | None = None


@frozen
class Phone:
    number: str = ""


Numbered = NewType("Numbered", Phone)


@frozen
class Person:
    name: str
    address: Address | None = None
    phones: list[Phone] = attrs.Factory(list)
    by_kind: dict[str, Phone] = attrs.Factory(dict)
    deep: list[dict[str, list[Address | None]]] = attrs.Factory(list)
    new_type: Numbered | None = None
    noted: Annotated[Address, "note"] | None = None
    old: Optional[Address] = field(default=None, metadata={"json": "OLD"})  # noqa: UP045 - users write it so
    children: list[Person] = attrs.Factory(list)
    open_one: OpenRecord | None = None
    anything: Any = None


def unknown(model: type[Any], *records: Any, all_good: bool = True) -> set[str]:
    return {path + key for path, key in decoder_for(model).unknown_fields(list(records), all_good=all_good)}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"name": "x"}, set()),
        ({"name": "x", "new": 1}, {"new"}),
        ({"name": "x", "address": {"city": "y", "province": 1}}, {"address.province"}),
        ({"name": "x", "phones": [{}, {"kind": 1}, {"kind": 2, "ext": 3}]}, {"phones[].kind", "phones[].ext"}),
        ({"name": "x", "byKind": {"home": {}, "work": {"ext": 1}}}, {"byKind[].ext"}),
        ({"name": "x", "deep": [{"a": [None, {"city": "y", "new": 1}]}]}, {"deep[][][].new"}),
        ({"name": "x", "newType": {"ext": 1}, "noted": {"city": "y", "ext": 1}}, {"newType.ext", "noted.ext"}),
        ({"name": "x", "OLD": {"city": "y", "ext": 1}}, {"OLD.ext"}),
        ({"name": "x", "children": [{"name": "y", "children": [{"name": "z", "new": 1}]}]}, {"new"}),
        ({"name": "x", "children": [{"name": "y", "address": {"city": "z", "new": 1}}]}, {"address.new"}),
        ({"name": "x", "openOne": {"new": 1}, "anything": {"new": 1}}, set()),
    ],
)
def test_unknown_keys_of_nested_classes_have_a_path(record: dict[str, Any], expected: set[str]) -> None:
    """Keys that a nested class does not know are found by path, in lists, dicts, unions and classes that hold themselves."""
    decoder_for(Person).decode([record], 0)
    assert unknown(Person, record) == expected
    assert unknown(Person, {"name": "first"}, record, {"name": "last"}) == expected


@pytest.mark.parametrize("value", [None, 5, "text", [5, [{}]], {"a": 5}, [{"b": None}]])
def test_records_that_match_nothing_are_no_obstacle(value: Any) -> None:
    """Where errors are collected, values of any kind stand at the places of classes: they have no keys."""
    record = dict.fromkeys(("address", "phones", "byKind", "deep", "children"), value)
    assert unknown(Person, record, {"new": 1}, all_good=False) >= {"new"}


@frozen
class Left:
    a: int
    left: Left | Right | None = None


@frozen
class Right:
    b: int
    right: list[Left | Right] = attrs.Factory(list)


@frozen
class Either:
    it: Left | Right


def test_the_classes_of_a_union_know_each_others_keys() -> None:
    """At the place of a union a key is unknown if no class of it knows it."""
    assert unknown(Either, {"it": {"a": 1}}, {"it": {"b": 1, "right": [{"a": 1, "new": 2}]}}) == {"it.new"}


def test_places_are_bounded() -> None:
    """Classes that hold one another in many ways are followed as far as records do, and no further than a limit."""
    names = [f"c{n}" for n in range(12)]
    classes: dict[str, Any] = {}
    for name in names:
        classes[name] = attrs.make_class(name, {each: field(type=f"{each} | None", default=None) for each in names})
    for each in classes.values():
        each.__annotations__ = {name: classes[name] | None for name in names}
        attrs.resolve_types(each, localns=classes)
    shape = Shape((classes["c0"],))
    value: Any = {"new": 1}
    for name in (*names[1:], *names[1:]):
        value = {other: {"new": 1} for other in names} | {name: value}
    found = list(shape.unknown([value]))
    assert ("", "new") in found or any(key == "new" for _, key in found)
    assert len(shape._all) <= MOST_SHAPES


@frozen
class Patron:
    name: str
    tax_code: str | None = None


@frozen
class Company:
    name: str
    vat: str | None = None


def row(kind: Any) -> type[Any]:
    return attrs.make_class("Row", {"it": field(type=kind)})


@pytest.mark.parametrize("kind", [Patron | Company, Company | Patron, Patron | None | Company, Patron | str | Company])
def test_the_class_that_knows_the_keys_is_taken(kind: Any) -> None:
    """Of classes that share their required fields, the one that knows the object's keys is taken in any order of the union."""
    decoder = decoder_for(row(kind))
    records = [{"name": "x", "vat": "1"}, {"name": "x", "taxCode": "1"}, {"name": "x", "vat": "1", "new": 2}]
    made = [each.it for each in decoder.decode([{"it": each} for each in records], 0)]
    assert made == [Company("x", "1"), Patron("x", "1"), Company("x", "1")]


def test_the_class_that_knows_the_keys_has_to_match_them() -> None:
    """If the class with the most keys refuses the object, another member that accepts it is taken; else all are named."""
    decoder = decoder_for(row(list[Patron | Company | dict[str, int]]))
    made = decoder.decode([{"it": [{"name": "x", "vat": 5}, {"vat": 5}]}], 0)
    assert made[0].it == [Patron("x"), {"vat": 5}]
    with pytest.raises(DecodeError, match=r"field it\[0\]: expected"):
        decoder.decode([{"it": [{"name": 5, "vat": "x"}]}], 0)


@frozen
class Same:
    name: str
    vat: str | None


@frozen
class Cat:
    kind: Literal["cat"]
    name: str


@frozen
class Dog:
    kind: Literal["dog"]
    name: str


class Size(enum.Enum):
    S = "s"
    M = "m"


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@frozen
class Sized:
    it: Size


@frozen
class Coloured:
    it: Colour


@frozen
class Priced:
    it: Decimal


@frozen
class Listed:
    it: list[int]


@frozen
class Spaced:
    it: dict[str, int] | None


@frozen
class Loose:
    it: Any


@pytest.mark.parametrize(
    "kind",
    [Company | Same, Patron | Company | Same, list[Patron] | list[Company], dict[str, Patron] | dict[str, Company] | None,
     Loose | Sized, Priced | Coloured, Loose | Listed],
)  # fmt: skip
def test_classes_that_nothing_distinguishes_are_refused(kind: Any) -> None:
    """Two classes of a union with the same keys and kinds, or in two lists, are a ConfigurationError that names them."""
    with pytest.raises(ConfigurationError, match="cannot be distinguished in a union") as caught:
        decoder_for(row(kind))
    assert " and " in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value", "made"),
    [
        (Cat | Dog, {"kind": "dog", "name": "x"}, Dog("dog", "x")),
        (list[Cat] | list[Dog], [{"kind": "dog", "name": "x"}], [Dog("dog", "x")]),
        (Sized | Coloured, {"it": "red"}, Coloured(Colour.RED)),
        (Sized | Listed, {"it": [1]}, Listed([1])),
        (Listed | Spaced, {"it": None}, Spaced(None)),
        (Listed | Spaced, {"it": {"a": 1}}, Spaced({"a": 1})),
    ],
)
def test_classes_that_a_value_distinguishes_are_read(kind: Any, value: Any, made: Any) -> None:
    """Classes with the same keys are distinguished by a Literal, an Enum, or another kind of value."""
    assert decoder_for(row(kind)).decode([{"it": value}], 0)[0].it == made


Many = enum.IntEnum("Many", {f"V{n}": n for n in range(1, 60)})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Colour, 'expected a value of Colour ("red", "green"), found text'),
        (Literal["a", 1, True], 'expected one of the values the class allows ("a", 1, true), found text'),
        (Many, "expected a value of Many (1, 2, 3, "),
        (Literal['è"'], 'the class allows ("è\\""), found'),
    ],
)
def test_the_allowed_values_are_listed(kind: Any, words: str) -> None:
    """The error of an Enum or a Literal lists what the class allows, as JSON, and never the value that was sent."""
    with pytest.raises(DecodeError) as caught:
        decoder_for(row(kind)).decode([{"it": "canary-5150"}], 0)
    assert words in str(caught.value)
    assert "canary" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_moment_without_offset_says_what_is_missing() -> None:
    """The error of a date and time without offset states that it is the offset that is missing."""
    for value in ("2026-01-02T03:04:05", "2026-01-02 03:04"):
        with pytest.raises(DecodeError, match="with offset .*, found one without offset"):
            decoder_for(row(dt.datetime)).decode([{"it": value}], 0)
    with pytest.raises(DecodeError, match="found text"):
        decoder_for(row(dt.datetime)).decode([{"it": "no date"}], 0)
