"""What the records of an endpoint are: the result of inference, which the source of a class is written from.

It holds names, types and counts. No value of a record is in it, except the candidates of an enumeration where these
were requested.
"""

from __future__ import annotations

from collections.abc import Iterable

from .._frozen import frozen

__all__ = [
    "SCALARS",
    "Choice",
    "Field",
    "Kind",
    "Kinds",
    "ListOf",
    "MapOf",
    "Model",
    "ObjectOf",
    "Scalar",
    "sorted_kinds",
]

#: The names of the scalars, in the order in which they stand in a union: what reads fewer values comes first.
SCALARS = ("bool", "int", "float", "UUID", "NaiveDatetime", "datetime", "date", "time", "str", "Decimal", "Any")


@frozen
class Scalar:
    """A value that holds no others: `name` is one of SCALARS. "Any": nested too deep to be described."""

    name: str


@frozen
class Choice:
    """One of few texts: its values are sorted. There is none unless enumerations were requested."""

    values: tuple[str, ...]


@frozen
class ListOf:
    """A JSON array. Where each was empty, `item` has no kinds."""

    item: Kinds


@frozen
class MapOf:
    """A JSON object keyed by identifiers, which are values and are not kept."""

    item: Kinds


@frozen
class ObjectOf:
    """A JSON object with named fields: first those seen most often, those seen equally often by their key."""

    fields: tuple[Field, ...]


Kind = Scalar | Choice | ListOf | MapOf | ObjectOf


@frozen
class Kinds:
    """What stands at one place. There is at most one Choice, one ListOf, and one of MapOf and ObjectOf.

    Without `kinds` nothing but null was seen, or nothing at all. `null` is whether null was.
    """

    kinds: tuple[Kind, ...]
    null: bool = False


@frozen
class Field:
    """A field of an object. `of` objects were seen at its place; `seen` had the key, in `nulls` of these it was null.

    `form` is the form in which dates and times were written, where it is not that of `to_dict` and there was one form.
    `notes` are sentences for a docstring. They never contain a value.
    """

    key: str
    kinds: Kinds
    seen: int
    of: int
    nulls: int = 0
    form: str | None = None
    notes: tuple[str, ...] = ()


@frozen
class Model:
    """What all records of an endpoint are. `notes` are sentences for the docstring of its class."""

    name: str
    path: str | None
    personal: bool
    records: int
    object: ObjectOf
    notes: tuple[str, ...] = ()


def sorted_kinds(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """Return the kinds in the order of a union: scalars as in SCALARS, then choices, lists, maps and objects."""
    ranks = (Choice, ListOf, MapOf, ObjectOf)
    return tuple(
        sorted(
            kinds,
            key=lambda each: (
                SCALARS.index(each.name) if isinstance(each, Scalar) else len(SCALARS) + ranks.index(type(each))
            ),
        )
    )
