"""Distinguishes maps from objects by their structure: keys that look like names of fields may be identifiers nevertheless.

What decides are counts over all objects at a place. So neither the order of the records matters, nor how they were divided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["are_identifiers"]

#: A map of anything has at least this number of keys, and its objects have on average at most this share of them.
_MANY_KEYS, _FEW_SHARE = 8, 0.25
#: The least number of keys of a map of objects of one shape, and of a map whose keys have digits.
_KEYS_OF_ALIKE, _KEYS_WITH_DIGITS = 4, 3
#: The least number of fields of objects that are alike.
_FIELDS_OF_ALIKE = 2


class _Place(Protocol):
    @property
    def seen(self) -> int: ...
    @property
    def items(self) -> _Place | None: ...
    @property
    def objects(self) -> _Objects | None: ...
    def kind_count(self) -> int: ...


class _Objects(Protocol):
    @property
    def fields(self) -> Mapping[str, _Place]: ...


def are_identifiers(fields: Mapping[str, _Place], count: int, together: _Place) -> bool:
    """Return whether the keys of objects identify things: then the objects are maps.

    The values of a map are of one kind. Each of its objects has few of many keys; or no key is in most of them, and the keys
    have digits, or hold objects of one shape. (`home` and `work` hold such objects, too: two or three keys are names.)

    Args:
        fields: What is at each key.
        count: How many objects there are.
        together: What the values of all keys are.
    """
    if together.kind_count() != 1:
        return False
    keys = len(fields)
    if keys >= _MANY_KEYS and together.seen <= _FEW_SHARE * keys * count:
        return True
    if count < keys or any(2 * each.seen > count for each in fields.values()):
        return False
    if keys >= _KEYS_WITH_DIGITS and all(any(map(str.isdigit, key)) for key in fields):
        return True
    return _are_alike([each for each in fields.values() if each.kind_count()], together)


def _are_alike(places: list[_Place], together: _Place) -> bool:
    """Return whether the values of enough keys are objects that share most of their fields, or lists of such."""
    every = _fields_of(together)
    if (
        len(places) < _KEYS_OF_ALIKE
        or len(every) < _FIELDS_OF_ALIKE
        or any(each.kind_count() > 1 for each in every.values())
    ):
        return False
    return all(2 * len(_fields_of(each)) >= len(every) for each in places)


def _fields_of(place: _Place) -> Mapping[str, _Place]:
    if place.items is not None:
        return _fields_of(place.items)
    return place.objects.fields if place.objects is not None else {}
