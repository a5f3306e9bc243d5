"""What a type of a class accepts: which classes of JSON values, and which of their values. Decided by the decoder's own rules."""

from __future__ import annotations

import types
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any, Literal, cast, get_args

import attrs

from .._records.fields import ARRAYS, MAPPINGS, UNIONS, bare, container
from .._records.hooks import EXACT_TYPES, enum_hook, literal_hook
from .._records.scalars import SCALAR_HOOKS, Mismatch, NaiveDatetime, decimal_hook, is_decimal
from ..models import OpenRecord
from .described import TEXT_NAMES

__all__ = ["Accepted"]

_MOMENTS = (datetime, NaiveDatetime)


class Accepted:
    """The members of a union of types, sorted by what of JSON they are read from."""

    __slots__ = ("anything", "choices", "classes", "described", "exact", "hooks", "items", "moments", "null", "values")

    def __init__(self, kinds: tuple[Any, ...]) -> None:
        self.anything = self.null = self.choices = self.moments = False
        self.exact: set[type[Any]] = set()
        self.hooks: list[tuple[Callable[[Any, Any], Any], Any]] = []
        self.items: list[Any] = []  # the types of what arrays hold
        self.values: list[Any] = []  # the types of what maps hold
        self.classes: list[Any] = []
        names: dict[str, None] = {}
        for member in (found for each in kinds for found in _members(each)):
            names[self._add(member)] = None
        self.described = " or ".join([*(each for each in names if each != "null"), *["null"] * self.null])

    def _add(self, member: Any) -> str:
        here = container(member)
        if member in (Any, object):
            self.anything = True
            return "anything"
        if member in (None, types.NoneType):
            self.null = True
            return "null"
        if member in EXACT_TYPES:
            self.exact.add(member)
            return EXACT_TYPES[member]
        return self._add_holder(member, here) or self._add_scalar(member, here)

    def _add_holder(self, member: Any, here: Any) -> str:
        if here in ARRAYS:
            self.items.append((get_args(member) or (Any,))[0])
            return "a list"
        if here in MAPPINGS:
            self.values.append((get_args(member) or (str, Any))[1])
        elif attrs.has(here):
            self.classes.append(member)
        else:
            return ""
        return "an object"

    def _add_scalar(self, member: Any, here: Any) -> str:
        if is_decimal(here):
            self.exact |= {int, float}  # how a float was written is not known here
            self.hooks.append((decimal_hook(member), member))
            return "a decimal number"
        if here is Literal:
            self.choices = True
            self.hooks.append((literal_hook(member), member))
            self.null |= None in get_args(member)
            return "one of the values the class allows"
        if isinstance(member, type) and issubclass(member, Enum):
            self.choices = True
            self.hooks.append((enum_hook(member), cast("Any", member)))
            return f"a value of {member.__name__}"
        scalar = cast("Any", member)
        self.hooks.append((SCALAR_HOOKS[scalar], scalar))
        self.moments |= scalar in _MOMENTS
        return "a number" if member is float else TEXT_NAMES[member.__name__]

    def takes(self, value: Any) -> bool:
        """Return whether a text, number, true or false is accepted."""
        if self.anything or value.__class__ in self.exact:
            return True
        for hook, member in self.hooks:
            try:
                hook(value, member)
            except Mismatch:
                continue
            return True
        return False

    def takes_object(self) -> bool:
        """Return whether any object is accepted, whatever it holds."""
        return self.anything or any(issubclass(container(each), OpenRecord) for each in self.classes)


def _members(kind: Any) -> list[Any]:
    kind = bare(kind)
    if container(kind) in UNIONS:
        return [found for member in get_args(kind) for found in _members(member)]
    return [kind]
