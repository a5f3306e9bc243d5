"""Invents records of an inferred model, or of an attrs class: plain JSON objects that the library reads."""

from __future__ import annotations

import datetime as dt
import types
from enum import Enum
from random import Random
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

import attrs

from .._json import ATOMS
from .._records.decoder import Decoder, decoder_for
from .._records.fields import ARRAYS, MAPPINGS, UNIONS, bare, container, json_fields
from .._records.scalars import NaiveDatetime, is_decimal
from ..errors import ConfigurationError
from ..models import OpenRecord
from .inferred import InferredModel
from .invention import SCALAR_MAKERS, Make, array, makes_object, mapping, of_object, one_of, text_of

__all__ = ["Inventor"]

#: A class may refuse what is invented: so often another record is tried.
MOST_TRIES = 1_000
#: No class has to hold itself this deep.
_DEEPEST = 60
_SCALARS: dict[Any, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    dt.date: "date",
    dt.time: "time",
    dt.datetime: "datetime",
    NaiveDatetime: "NaiveDatetime",
    UUID: "UUID",
}


class Inventor:
    """Invents records of one model. Raises ConfigurationError for what is no model."""

    def __init__(self, model: InferredModel | type[Any]) -> None:
        self._decoder: Decoder[Any] | None = None
        if isinstance(model, InferredModel):
            self._name = model.name
            self._make = of_object(model.schema.object)
            return
        if not attrs.has(container(model)):
            kind = type(model).__name__
            raise ConfigurationError(f"model must be an InferredModel or an attrs class, not an object of type {kind}")
        self._name = container(model).__name__
        self._decoder = decoder_for(model)
        self._make = _Types().of_class(model)

    def record(self, rng: Random) -> dict[str, Any]:
        """Return an invented record. Raises ConfigurationError if the class accepts none of them."""
        problem = ""
        for _ in range(MOST_TRIES):
            made: dict[str, Any] = self._make(rng, 0)
            problem = self.problem(made)
            if not problem:
                return made
        raise ConfigurationError(f"{self._name} rejects all {MOST_TRIES:,} invented records ({problem})")

    def problem(self, made: dict[str, Any]) -> str:
        """Return why the class does not accept a record; empty if it does."""
        if self._decoder is None:
            return ""
        _, error = self._decoder.decode_good([made], 0)
        return "" if error is None else f"{error.field or 'the record'}: {error.args[0]}"


class _Types:
    """Finds what invents a value of each type. A class that holds itself has one maker."""

    def __init__(self) -> None:
        self._objects: dict[Any, list[Make]] = {}

    def of_class(self, model: Any) -> Make:
        """Return what invents an object of an attrs class."""
        if issubclass(container(model), OpenRecord):
            return makes_object([("inventedNumber", SCALAR_MAKERS["int"], False)])
        made = self._objects.get(model)
        if made is None:
            made = self._objects[model] = []
            fields = [
                (key, self.of_type(kind, key), each.default is not attrs.NOTHING)
                for key, each, kind in json_fields(model)
            ]
            made.append(makes_object(fields))
        name = container(model).__name__

        def make(rng: Random, depth: int) -> Any:
            if depth > _DEEPEST:
                raise ConfigurationError(f"{name} contains itself without end: no such record can exist")
            return made[0](rng, depth)

        return make

    def of_type(self, kind: Any, key: str) -> Make:
        """Return what invents a value of a type, for the field with this key."""
        kind = bare(kind)
        here = container(kind)
        if here in UNIONS:  # null first, and what is flat before what may hold itself
            members = sorted(get_args(kind), key=lambda each: (each is not types.NoneType, attrs.has(container(each))))
            return one_of([self.of_type(each, key) for each in members])
        if here in ARRAYS:
            return array(self.of_type((get_args(kind) or (Any,))[0], key))
        if here in MAPPINGS:
            return mapping(self.of_type((get_args(kind) or (str, Any))[1], key))
        return self.of_class(kind) if attrs.has(here) else _single(kind, key)


def _single(kind: Any, key: str) -> Make:
    """Return what invents a value that holds no others."""
    if kind in _SCALARS or is_decimal(kind):
        return SCALAR_MAKERS[_SCALARS.get(kind, "Decimal")]
    values: tuple[Any, ...] = ()
    if kind in (None, types.NoneType):
        values = (None,)
    elif get_origin(kind) is Literal:
        values = get_args(kind)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        values = tuple(each.value for each in kind if each.value.__class__ in ATOMS)
    return (lambda rng, _: rng.choice(values)) if values else text_of(key)
