"""Turns objects into columns: the values of each key. Objects that have the same keys are turned at C speed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from operator import itemgetter
from typing import Any, cast

__all__ = ["Layouts", "values_of"]

#: Objects with more layouts than this, or than an eighth of their number, are taken key by key.
_FEW_LAYOUTS = 8

_Object = dict[str, Any]
_Columns = dict[str, list[Any]]


class Layouts:
    """Remembers the keys of the last objects, which the next ones have, too, as a rule."""

    __slots__ = ("_keys", "_pick")

    def __init__(self) -> None:
        self._keys: tuple[str, ...] = ()
        self._pick: Callable[[_Object], tuple[Any, ...]] | None = None

    def columns(self, objects: list[_Object]) -> _Columns:
        """Return the values of each key."""
        if self._pick is not None and sum(map(len, objects)) == len(self._keys) * len(objects):
            try:
                return self._picked(objects)
            except KeyError:
                pass
        groups: dict[tuple[str, ...], list[_Object]] = {}
        for each in objects:
            groups.setdefault(tuple(each), []).append(each)
        if len(groups) > max(_FEW_LAYOUTS, len(objects) // _FEW_LAYOUTS):
            return _key_by_key(objects)
        columns: _Columns = {}
        for keys, alike in groups.items():
            if len(keys) > 1:
                self._keys, self._pick = keys, cast("Any", itemgetter(*keys))
                for key, values in self._picked(alike).items():
                    columns.setdefault(key, []).extend(values)
            elif keys:
                columns.setdefault(keys[0], []).extend(map(itemgetter(keys[0]), alike))
        return columns

    def _picked(self, objects: list[_Object]) -> _Columns:
        assert self._pick is not None
        return dict(zip(self._keys, map(list, zip(*map(self._pick, objects), strict=True)), strict=True))


def _key_by_key(objects: list[_Object]) -> _Columns:
    columns: _Columns = {}
    for each in objects:
        for key, value in each.items():
            columns.setdefault(key, []).append(value)
    return columns


def values_of(objects: list[_Object]) -> list[Any]:
    """Return the values of all objects, whatever their keys."""
    return list(chain.from_iterable(map(_Object.values, objects)))
