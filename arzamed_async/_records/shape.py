"""Finds the keys of records that their class does not know, and those of the classes nested in it, as paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..models import OpenRecord
from .fields import container, json_fields, known_keys, places

__all__ = ["Shape"]

#: The most places of a class that are looked at: classes that hold one another have any number.
MOST_SHAPES = 256

#: The classes at one place (several in a union), what is around them, and the key of the field.
_Part = tuple[str, tuple[type[Any], ...], tuple[Any, ...]]


class Shape:
    """The keys that the classes at one place of a record know, and the places in their fields, made as records need them.

    A class that holds itself has one shape: what is new in a child of a child is reported as new in a child.
    """

    __slots__ = ("_above", "_all", "_inner", "_keys", "_parts", "_path")

    def __init__(
        self,
        models: tuple[Any, ...],
        path: str = "",
        above: dict[tuple[Any, ...], Shape] | None = None,
        every: list[Shape] | None = None,
    ) -> None:
        self._path = path
        self._above = {**(above or {}), models: self}
        self._all = [] if every is None else every
        self._all.append(self)
        self._keys = frozenset[str]().union(*map(known_keys, models))
        self._parts = list(_parts(models))
        self._inner: dict[int, Shape] = {}

    @property
    def flat(self) -> bool:
        """Whether there are no classes in the fields."""
        return not self._parts

    def unknown(self, records: list[Any]) -> Iterator[tuple[str, str]]:
        """Yield each unknown key once for each shape: the path of what holds it (`many[].`, or empty), and the key."""
        pending: list[tuple[Shape, list[Any]]] = [(self, records)]
        seen: dict[Shape, set[str]] = {}
        while pending:
            shape, values = pending.pop()
            seen.setdefault(shape, set()).update(*values)
            pending += shape._within(values)  # noqa: SLF001 - another of this class
        for shape, every in seen.items():
            for key in every - shape._keys:  # noqa: SLF001 - another of this class
                yield shape._path, key  # noqa: SLF001 - another of this class

    def _within(self, values: list[Any]) -> Iterator[tuple[Shape, list[Any]]]:
        for n, (key, levels, models) in enumerate(self._parts):
            found = [each[key] for each in values if key in each]
            for level in levels:
                around = [each for each in found if each.__class__ is level]
                found = [each for held in around for each in (held.values() if level is dict else held)]
            found = [each for each in found if each.__class__ is dict]
            if found and n not in self._inner and len(self._all) < MOST_SHAPES:
                path = f"{self._path}{key}{'[]' * len(levels)}."
                self._inner[n] = self._above.get(models) or Shape(models, path, self._above, self._all)
            if found and n in self._inner:
                yield self._inner[n], found


def _parts(models: tuple[Any, ...]) -> Iterator[_Part]:
    kinds: dict[str, list[Any]] = {}  # by key: the classes of a union may share one
    for model in models:
        for key, _, kind in json_fields(model):
            kinds.setdefault(key, []).append(kind)
    for key, several in kinds.items():
        held: dict[tuple[type[Any], ...], dict[Any, None]] = {}
        for levels, model in (place for kind in several for place in places(kind)):
            held.setdefault(levels, {})[model] = None
        for levels, inner in held.items():
            if not any(issubclass(container(each), OpenRecord) for each in inner):
                yield key, levels, tuple(inner)
