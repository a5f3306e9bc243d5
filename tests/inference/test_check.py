"""`check_model`: each kind of drift is found, with its share, and none where there is none."""

from __future__ import annotations

from copy import deepcopy
from datetime import date, datetime
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from attrs import frozen

from arzamed_async import MISSING, Missing, NaiveDatetime, OpenRecord
from arzamed_async._inference.check import Comparison, check_model
from arzamed_async._inference.report import Drift
from arzamed_async.errors import ConfigurationError

pytestmark = pytest.mark.asyncio
CANARY = "Canaria Inventata"


class State(Enum):
    """A state of a slot."""

    FREE = "free"
    BUSY = "busy"


@frozen(kw_only=True)
class Room:
    """A room."""

    label: str
    beds: int


@frozen(kw_only=True)
class Doctor:
    """A doctor, who may stand in for another one."""

    name: str
    deputy: Doctor | Missing | None = MISSING


@frozen(kw_only=True)
class Appointment:
    """A record."""

    id: int
    uid: UUID
    label: str
    start: datetime
    entered: NaiveDatetime
    day: date
    price: float
    count: int
    state: State
    kind: Literal["first", "next"]
    code: int | str
    tags: tuple[str, ...]
    grid: tuple[tuple[int, ...], ...]
    rooms: dict[str, Room]
    doctor: Doctor
    note: str | None
    side: str | Missing = MISSING


GOOD: dict[str, Any] = {
    "id": 1,
    "uid": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "label": CANARY,
    "start": "2026-11-29T10:00:00Z",
    "entered": "2026-11-29T10:00:00",
    "day": "2026-11-29",
    "price": 2,
    "count": 3,
    "state": "free",
    "kind": "first",
    "code": "A1",
    "tags": ["a", "b"],
    "grid": [[1], []],
    "rooms": {"mario@example.com": {"label": "one", "beds": 2}},
    "doctor": {"name": "Dr. Inventata", "deputy": {"name": "Dr. Altra", "deputy": None}},
    "note": None,
    "side": "left",
}


def changed(path: str, value: Any = ...) -> dict[str, Any]:
    """Return a record with another value at a path, or without a field."""
    record = deepcopy(GOOD)
    *above, last = path.split("/")
    here: Any = record
    for key in above:
        here = here[key]
    if value is ...:
        del here[last]
    else:
        here[last] = value
    return record


DRIFTS: dict[str, tuple[dict[str, Any], Drift]] = {
    "a new field": (changed("color", CANARY), Drift("new", "color", 0.25, "no such field", "text")),
    "a field that is missing": (
        changed("label"),
        Drift("missing", "label", 0.25, "a field of each object", "objects without it"),
    ),
    "null": (changed("label", None), Drift("null", "label", 0.25, "text", "null")),
    "another type": (changed("id", CANARY), Drift("type", "id", 0.25, "a whole number", "text")),
    "a number for a text": (changed("label", 5), Drift("type", "label", 0.25, "text", "a whole number")),
    "an item of another type": (changed("tags", ["a", 5]), Drift("type", "tags[]", 1 / 8, "text", "a whole number")),
    "an inner item of another type": (
        changed("grid", [[1], ["x"]]),
        Drift("type", "grid[][]", 1 / 5, "a whole number", "text"),
    ),
    "a value of a map": (
        changed("rooms", {CANARY: "one"}),
        Drift("shape", "rooms{}", 0.25, "an object", "text"),
    ),
    "a new value of an enumeration": (
        changed("state", CANARY),
        Drift("choice", "state", 0.25, "a value of State", "another value"),
    ),
    "a new value of a literal": (
        changed("kind", CANARY),
        Drift("choice", "kind", 0.25, "one of the values the class allows", "another value"),
    ),
    "no offset": (
        changed("start", "2026-11-29T10:00:00"),
        Drift("offset", "start", 0.25, "a date and time with offset", "a date and time without offset"),
    ),
    "an offset": (
        changed("entered", "2026-11-29T10:00:00+01:00"),
        Drift("offset", "entered", 0.25, "a date and time without offset", "a date and time with offset"),
    ),
    "text for a date": (changed("day", "2026-02-30"), Drift("type", "day", 0.25, "a date", "text")),
    "a moment for a date": (
        changed("day", "2026-11-29T10:00:00Z"),
        Drift("type", "day", 0.25, "a date", "a date and time with offset"),
    ),
    "text for a UUID": (changed("uid", CANARY), Drift("type", "uid", 0.25, "a UUID", "text")),
    "a fraction": (
        changed("count", 3.5),
        Drift("fraction", "count", 0.25, "a whole number", "a number with a fraction"),
    ),
    "a new member of a union": (
        changed("code", True),
        Drift("type", "code", 0.25, "a whole number or text", "true or false"),
    ),
    "an array for an object": (changed("doctor", []), Drift("shape", "doctor", 0.25, "an object", "a list")),
    "an object for a text": (changed("label", {}), Drift("shape", "label", 0.25, "text", "an object")),
    "a text for an array": (changed("tags", CANARY), Drift("shape", "tags", 0.25, "a list", "text")),
    "a new field of a nested class": (
        changed("doctor/room", 5),
        Drift("new", "doctor.room", 1 / 8, "no such field", "a whole number"),
    ),
    "a changed field of a class that holds itself": (
        changed("doctor/deputy/name", 5),
        Drift("type", "doctor.name", 1 / 8, "text", "a whole number"),
    ),
    "a changed field in a map": (
        changed("rooms/mario@example.com/beds", "two"),
        Drift("type", "rooms{}.beds", 0.25, "a whole number", "text"),
    ),
    "a key that is no name": (
        changed("lucia@example.com", 1),
        Drift("new", "(keys that are no names)", 0.25, "no such field", "keys that are not shown"),
    ),
}


@pytest.mark.parametrize("name", DRIFTS)
async def test_a_drift_is_found(name: str) -> None:
    """One of four records differs: this drift is found, no other, and no value is shown."""
    record, drift = DRIFTS[name]
    report = await check_model([GOOD, GOOD, record, GOOD], Appointment)
    assert report.findings == (drift,)
    assert (report.ok, report.records) == (False, 4)
    shown = repr(report) + str(report.to_dict())
    assert CANARY not in shown
    assert "@" not in shown


async def test_fields_that_are_gone() -> None:
    """A required field that no object has is gone; an optional one is, where a hundred objects do not have it."""
    report = await check_model([changed("label")] * 2, Appointment)
    assert report.findings == (Drift("gone", "label", 1.0, "a field", "no object that has it"),)
    assert (await check_model([changed("side")] * 99, Appointment)).ok
    report = await check_model([changed("side")] * 100, Appointment)
    assert report.findings == (Drift("gone", "side", 1.0, "a field", "no object that has it"),)


async def test_no_drift() -> None:
    """Nothing is found where the records match, in any group of them, as OpenRecords too, nor in an empty list."""
    others = [changed("side"), changed("note", "x"), changed("code", 5), changed("price", 0.5), changed("rooms", {})]
    for records in ([GOOD], [GOOD, *others] * 100, [OpenRecord(each) for each in [GOOD, *others]], []):
        report = await check_model(records, Appointment)
        assert (report.ok, report.findings, report.records) == (True, (), len(records))


async def test_several_clinics() -> None:
    """The records of several streams are compared together."""
    comparison = Comparison(Appointment)
    await comparison.read([GOOD])
    await comparison.read([changed("label", None)])
    assert [(each.kind, each.share) for each in comparison.report().findings] == [("null", 0.5)]


async def test_deep_records_are_bounded() -> None:
    """A class that holds itself, and a record nested 900 deep, end."""
    deep: dict[str, Any] = {"name": "Dr. Inventata"}
    for _ in range(900):
        deep = {"name": "Dr. Inventata", "deputy": deep}
    assert (await check_model([deep], Doctor)).ok


@frozen
class One:
    """A member of a union."""

    a: int


@frozen
class Two:
    """Another one."""

    b: int


@frozen
class Holder:
    """A record with unions of objects."""

    either: One | Two
    mapped: Two | dict[str, str]


async def test_unions_of_objects() -> None:
    """Each object is compared with the class that fits it best, or as a map."""
    good = [{"either": {"a": 1}, "mapped": {"x": "y"}}, {"either": {"b": 1}, "mapped": {"b": 2}}]
    assert (await check_model(good, Holder)).ok
    report = await check_model([*good, {"either": {"a": "x"}, "mapped": {"x": 5}}], Holder)
    assert [(each.kind, each.path) for each in report.findings] == [("type", "either.a"), ("type", "mapped{}")]


@pytest.mark.parametrize("model", [OpenRecord, int, "Slot", None])
async def test_a_model_without_fields_is_refused(model: Any) -> None:
    """What is no class with fields is refused before a record is read."""
    with pytest.raises(ConfigurationError):
        await check_model([GOOD], model)


@frozen
class Part:
    """An object in a record."""

    known: int | None = None


@frozen
class HolderOfPart:
    """A record that holds an object."""

    only: Part


@pytest.mark.parametrize(
    "keys", [[f"Canary Rossi{chr(97 + n)}" for n in range(9)], ["canary10", "canary11"], ["canary", "1234567"]]
)
async def test_keys_of_a_map_in_the_place_of_an_object_are_not_shown(keys: list[str]) -> None:
    """Where an object has become a map, its keys may be names of persons: they are counted, and not shown."""
    report = await check_model([{"only": {key: 1}} for key in keys], HolderOfPart)
    assert [(each.kind, each.path) for each in report.findings] == [("new", "only.(keys that are no names)")]
    assert "anary" not in repr(report)
