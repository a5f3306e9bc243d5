"""MISSING: the value of a field that is absent from the JSON object. It is distinct from null."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Literal, Union, get_args

import attrs

from ..errors import ConfigurationError
from .fields import UNIONS, bare, container

__all__ = ["MISSING", "Missing", "without_missing"]


class Missing(Enum):
    """The class of `MISSING`, for type hints. A field of type `str | Missing` is text, or absent from the JSON object.

        @frozen
        class Bed:
            side: str | Missing | None = MISSING  # JSON: a text, null, or no such key

    Type checkers narrow the type by `bed.side is not MISSING`, and by `if bed.side:`, since `MISSING` is false. The JSON text
    "MISSING" is read as text. `to_dict` leaves out a field that is `MISSING`. A field that may be `MISSING` needs a default,
    as above. `Missing` inside a list, dict or other type is a ConfigurationError.
    """

    MISSING = "MISSING"
    """The only member, which the package exports as `MISSING`."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "MISSING"

    __str__ = __repr__


#: The field was not in the record.
MISSING: Final = Missing.MISSING


def without_missing(kind: Any, attribute: attrs.Attribute[Any], model: type[Any]) -> Any:
    """Return the type of a field without `Missing`. Raises ConfigurationError if `Missing` is not allowed there."""
    whole = bare(kind)
    members = get_args(whole) if container(whole) in UNIONS else (whole,)
    kept = [each for each in members if each is not Missing]
    name = f"{model.__name__}.{attribute.name}"
    if any(_holds_missing(each) for each in kept):
        raise ConfigurationError(f"{name}: Missing belongs to the type of a field: write T | Missing = MISSING")
    if len(kept) == len(members):
        return kind
    if attribute.default is attrs.NOTHING:
        raise ConfigurationError(f"{name} may be missing and has no default: write T | Missing = MISSING")
    if not kept:
        raise ConfigurationError(f"{name}: the type Missing cannot be read from JSON: write T | Missing = MISSING")
    return Union[tuple(kept)]  # noqa: UP007 - in the order written


def _holds_missing(kind: Any) -> bool:
    kind = bare(kind)
    return kind is Missing or any(_holds_missing(each) for each in get_args(kind))
