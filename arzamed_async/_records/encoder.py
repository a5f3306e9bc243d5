"""Turns records into plain values, in the API's own names: what a decoder reads, the other way round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, time
from enum import Enum
from typing import Any
from uuid import UUID

import attrs

from .._json import ATOMS
from ..errors import ConfigurationError
from ..models import OpenRecord
from .fields import json_key
from .forms import Form, form_of_field
from .missing import MISSING
from .scalars import is_decimal

__all__ = ["Encoder", "make_encoder"]

Encoder = Callable[[Any], dict[str, Any]]

_SCALARS: tuple[tuple[type[Any], Callable[[Any], object]], ...] = (
    (str, str.__str__),  # of a subclass, the plain text
    (int, int),
    (float, float),
    (date, lambda value: value.isoformat()),  # a datetime is one, too
    (time, lambda value: value.isoformat()),
    (UUID, str),
)


def make_encoder(model: type[Any], encode: Encoder) -> Encoder:
    """Return the function that turns a record of this class into a dict; `encode` does so for the records in it.

    A field that is MISSING is left out. Raises ConfigurationError, which names class and field, for a value that JSON does not
    have, and for a `json_form` that is none.
    """
    is_open = issubclass(model, OpenRecord)  # whose field is the object itself
    fields: tuple[Any, ...] = attrs.fields(OpenRecord if is_open else model)
    names = [(json_key(each), each.name, form_of_field(each, model)) for each in fields if each.init]

    def encode_one(record: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, name, form in names:
            value = getattr(record, name)
            if value is MISSING:
                continue
            problem = ""
            try:
                made[key] = _plain(value, encode) if form is None else _formed(value, form, encode)
            except NotPlain as fault:
                problem = str(fault)
            if problem:
                raise ConfigurationError(f"{model.__name__}.{name}: {problem}")
        return made

    return (lambda record: encode_one(record)["data"]) if is_open else encode_one


class NotPlain(Exception):  # noqa: N818 - it never leaves this module
    """A value has no plain form. It holds the name of its type, never the value."""


def _plain(value: Any, encode: Encoder) -> Any:
    kind: Any = value.__class__
    if kind in ATOMS:  # not all serialisers take their subclasses
        return value
    if value is MISSING:
        raise NotPlain("MISSING has no plain form: only a field can be missing")
    if isinstance(value, Enum):
        return _plain(value.value, encode)
    for base, make in _SCALARS:
        if isinstance(value, base):
            return make(value)
    return str(value) if is_decimal(kind) else _of_parts(value, encode)


def _formed(value: Any, form: Form, encode: Encoder) -> Any:
    if isinstance(value, (date, time)):
        return form.write(value)
    if is_decimal(value.__class__):
        return form.write_decimal(value)
    held = isinstance(value, Collection) and not isinstance(value, str)
    return _of_parts(value, encode, form) if held else _plain(value, encode)


def _of_parts(value: Any, encode: Encoder, form: Form | None = None) -> Any:
    def plain(each: Any) -> Any:
        return _plain(each, encode) if form is None else _formed(each, form, encode)

    kind: Any = value.__class__
    if issubclass(kind, Mapping):
        return {str(key): each if each.__class__ in ATOMS else plain(each) for key, each in value.items()}
    if attrs.has(kind):
        return encode(value)
    if issubclass(kind, Collection) and not issubclass(kind, (bytes, bytearray, memoryview)):
        return [each if each.__class__ in ATOMS else plain(each) for each in value]
    raise NotPlain(f"a value of type {kind.__name__} has no plain form")
