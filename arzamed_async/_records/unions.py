"""Chooses among the members of a union: in the order written, but of several classes the one that knows the most keys."""

from __future__ import annotations

import itertools
import types
from enum import Enum
from typing import Any, Literal, cast, get_args

import attrs

from ..errors import ConfigurationError
from ..models import OpenRecord
from .fields import ARRAYS, MAPPINGS, UNIONS, bare, container, json_fields, known_keys, places
from .hooks import EXACT_TYPES, Hook, HookOf, accepts_unknown
from .scalars import SCALAR_HOOKS, Mismatch, is_decimal

__all__ = ["REFUSED", "union_hook"]

#: The values refused while a window is decoded, and what was expected. Without it, unions of classes that hold
#: themselves would take time exponential in the nesting. The decoder clears it after each window.
REFUSED: dict[tuple[int, Any], str] = {}


def union_hook(kind: Any, hook_of: HookOf) -> Hook:
    """Try the members in the order written, null first: it is the most common, and cheap to test.

    Classes that share their required fields fit the same objects. The one with the fewest keys left over is tried first,
    so that no key which another member knows is dropped. Raises ConfigurationError where that decides nothing.
    """
    nullable = types.NoneType in get_args(kind)
    members = [(member, hook_of(member)) for member in get_args(kind) if member is not types.NoneType]
    first, first_hook = members[0]
    classes = [each for each in members if _is_class(each[0])]
    _check_distinct([member for member, _ in members])
    keys = {id(hook): known_keys(bare(member)) for member, hook in classes}

    def by_keys(value: dict[str, Any]) -> list[tuple[Any, Hook]]:
        ranked = iter(sorted(classes, key=lambda each: len(value.keys() - keys[id(each[1])])))
        return [next(ranked) if id(each[1]) in keys else each for each in members]

    def structure_optional(value: Any, _: Any) -> Any:
        return None if value is None else first_hook(value, first)

    def structure(value: Any, _: Any) -> Any:
        if value is None and nullable:
            return None
        expected: dict[str, None] = {}  # not the exceptions: their tracebacks and this frame would form a cycle
        deep = value.__class__ is dict or value.__class__ is list
        ordered = by_keys(cast("Any", value)) if len(keys) > 1 and value.__class__ is dict else members
        for member, hook in ordered:
            if deep and (known := REFUSED.get((id(value), member))) is not None:
                expected[known] = None
                continue
            try:
                return hook(value, member)
            except Mismatch as fault:
                expected[fault.expected] = None
                if deep:
                    REFUSED[id(value), member] = fault.expected
        raise Mismatch(" or ".join([*expected, *["null"] * nullable]), value)

    return structure_optional if nullable and len(members) == 1 else structure


def _is_class(member: Any) -> bool:
    here = container(bare(member))
    return isinstance(here, type) and attrs.has(here) and not issubclass(here, OpenRecord)


def _check_distinct(members: list[Any]) -> None:
    """Raise ConfigurationError if two members hold classes that fit the same objects, and their keys do not show which."""
    held = [(levels, model) for member in members for levels, model in places(member) if _is_class(model)]
    for (levels, one), (others, other) in itertools.combinations(held, 2):
        if levels == others and one != other and (levels or known_keys(one) == known_keys(other)) and _fit(one, other):
            names = " and ".join(container(each).__name__ for each in (one, other))
            how = "make one list or dict of the union of both" if levels else "give them a Literal that differs"
            raise ConfigurationError(f"{names} cannot be distinguished in a union: {how}")


def _fit(one: Any, other: Any) -> bool:
    """Return whether an object can be of both classes: each knows what the other requires, and accepts such a value."""
    fields_of_one, fields_of_other = _fields(one), _fields(other)
    required = {key for fields in (fields_of_one, fields_of_other) for key, (needed, _) in fields.items() if needed}
    return all(
        key in fields_of_one
        and key in fields_of_other
        and _overlap(_accepted(fields_of_one[key][1]), _accepted(fields_of_other[key][1]))
        for key in required
    )


def _fields(model: Any) -> dict[str, tuple[bool, Any]]:
    return {key: (each.default is attrs.NOTHING, kind) for key, each, kind in json_fields(model)}


#: The JSON values that a type accepts: a kind alone, or a kind and a value. None stands for any.
_Accepted = set[tuple[Any, ...]] | None
_ACCEPTED: dict[Any, _Accepted] = {
    **{each: {(each,)} for each in EXACT_TYPES},
    **{each: {(str,)} for each in SCALAR_HOOKS},
    None: {(types.NoneType,)},
    float: {(int,), (float,)},
}


def _accepted(kind: Any) -> _Accepted:
    kind = bare(kind)
    here = container(kind)
    if here in UNIONS:
        several = [_accepted(member) for member in get_args(kind)]
        return None if None in several else {each for accepted in several for each in accepted or ()}
    if here is Literal:
        return {(each.__class__, each) for each in get_args(kind)}
    if isinstance(here, type) and issubclass(here, Enum):
        values = [each.value for each in cast("Any", here)]
        return None if accepts_unknown(here) else {(each.__class__, each) for each in values}
    if here in ARRAYS:
        return {(list,)}
    if here in MAPPINGS or (isinstance(here, type) and attrs.has(here)):
        return {(dict,)}
    return {(str,), (int,), (float,)} if is_decimal(here) else _ACCEPTED.get(here)


def _overlap(one: _Accepted, other: _Accepted) -> bool:
    if one is None or other is None:
        return True
    return any(a[0] is b[0] and (len(a) == 1 or len(b) == 1 or a[1] == b[1]) for a in one for b in other)
