"""The module that is written for a model: a reader finds nothing to change, and it reads what it was made of."""

from __future__ import annotations

import ast

import pytest

from arzamed_async._inference.schema import Choice, Field, Kind, Kinds, ListOf, MapOf, Model, ObjectOf, Scalar
from arzamed_async._inference.source import write
from arzamed_async.errors import ConfigurationError


def kinds(*several: Kind | str, null: bool = False) -> Kinds:
    return Kinds(tuple(Scalar(each) if isinstance(each, str) else each for each in several), null)


def field(key: str, *several: Kind | str, seen: int = 10, nulls: int = 0, form: str | None = None) -> Field:
    return Field(key, kinds(*several, null=nulls > 0), seen, 10, nulls, form)


def model(*fields: Field, name: str = "slots", path: str | None = "equipe/slots", personal: bool = False) -> Model:
    return Model(name, path, personal, 1204, ObjectOf(fields))


def test_a_module_as_a_person_would_have_written_it() -> None:
    """Imports, nested classes, types, shares and the Endpoint of a model, to the letter."""
    period = ObjectOf((field("start", "datetime"), field("end", "datetime", seen=7)))
    open_period = ObjectOf((field("start", "datetime"), field("end", "datetime", nulls=3)))
    identifier = ObjectOf((field("period", open_period), field("value", "str")))
    source = write(
        model(
            field("id", "UUID"),
            field("class", "str"),
            field("roomName", "str", nulls=2),
            field("bookedUntil", "NaiveDatetime", form="YYYY-MM-DD hh:mm"),
            field("period", period),
            field("identifiers", ListOf(kinds(identifier))),
            field("beds", MapOf(kinds("bool")), seen=9, nulls=1),
            field("first_name", "str", "int"),
            field("state", Choice(("booked", "free"))),
            field("fee", "Decimal", seen=4),
            field("open", seen=10, nulls=10),
            personal=True,
        )
    )
    assert source == (
        '''"""Typed records of `equipe/slots`, inferred from 1,204 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from arzamed_async import MISSING, Endpoint, Missing, NaiveDatetime
from attrs import field, frozen


@frozen(kw_only=True)
class Period:
    """`period` in `Slot`, `period` in `Identifier`."""

    start: datetime
    end: datetime | Missing | None = MISSING
    """In 85 % of the objects, null in 15 %."""


@frozen(kw_only=True)
class Identifier:
    """One of `identifiers` in `Slot`."""

    period: Period
    value: str


@frozen(kw_only=True)
class Slot:
    """A record of `equipe/slots`."""

    id: UUID
    class_: str
    room_name: str | None
    """Null in 20 % of the records."""
    booked_until: NaiveDatetime = field(metadata={"json_form": "YYYY-MM-DD hh:mm"})
    period: Period
    identifiers: tuple[Identifier, ...]
    beds: dict[str, bool] | Missing | None = MISSING
    """In 90 % of the records, null in 10 %."""
    first_name: str | int = field(metadata={"json": "first_name"})
    state: Literal["booked", "free"]
    fee: Decimal | Missing = MISSING
    """In 40 % of the records."""
    open: Any
    """Always null."""


SLOTS = Endpoint("equipe/slots", Slot, personal=True)
'''
    )


def test_fields_named_after_the_types_of_dates() -> None:
    """Where a field is called `date` as its type is, the module datetime has a short name."""
    source = write(model(field("date", "date"), field("dt", "time", seen=1)))
    assert "import datetime as dt\n" in source
    assert "    date: dt.date\n" in source
    assert "    dt_: dt.time | Missing = MISSING\n" in source
    assert "    date: str\n" in write(model(field("date", "str"), field("at", "datetime")))


def test_without_a_path_there_is_no_endpoint() -> None:
    """A model without a path is its classes alone."""
    source = write(model(field("id", "int"), path=None))
    assert "Endpoint" not in source
    assert source.endswith("    id: int\n")


def test_objects_without_fields() -> None:
    """An object that was always empty is a dict, a record without fields a class without any."""
    assert "extra: dict[str, Any]\n" in write(model(field("extra", ObjectOf(()))))
    assert [type(each) for each in ast.parse(write(model())).body[-2:]] == [ast.ClassDef, ast.Assign]


def test_classes_of_one_name_and_another_structure_are_told_apart() -> None:
    """A class whose name is taken is named after its parent and the key."""
    inner = ObjectOf((field("address", ObjectOf((field("zip", "int"),))),))
    source = write(model(field("address", ObjectOf((field("zip", "str"),))), field("clinic", inner)))
    assert "    address: Address\n" in source
    assert "    address: ClinicAddress\n" in source


def test_a_name_without_letters_is_refused() -> None:
    """A model has to be called something that a class can be called."""
    with pytest.raises(ConfigurationError, match="needs a letter"):
        write(model(name="42"))
