"""Compares records with a class, column by column: what differs is counted, and no value is kept."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import attrs

from .._records.fields import json_fields
from .accepted import Accepted
from .bounds import MOST_DEPTH, Budget, is_name, key_mask
from .columns import Layouts, values_of
from .described import JSON_NAMES, TEXT_NAMES, described_place, described_text
from .maps import are_identifiers
from .observed import Place
from .plain import plain_column
from .report import Drift, DriftKind

__all__ = ["UNNAMED", "ComparedObjects"]

#: The most new fields of a class that are reported each by its name.
_MOST_NEW = 64
#: An optional field is gone if none of at least this number of objects has it.
_FEW_OBJECTS = 100
#: What stands in the place of keys that are not shown.
UNNAMED = "(keys that are no names)"
_MOMENTS = (TEXT_NAMES["datetime"], TEXT_NAMES["NaiveDatetime"])
_SHAPES = (list, dict)


class Compared:
    """One place: what the class accepts there, and what was found instead."""

    __slots__ = ("_accepted", "_items", "_models", "_objects", "_path", "_values", "counts", "seen")

    def __init__(self, kinds: tuple[Any, ...], path: str, models: dict[Any, ComparedObjects]) -> None:
        self._accepted = Accepted(kinds)
        self._path = path
        self._models = models  # the classes above: one that holds itself is compared at one place
        self._items: list[Compared] = []
        self._values: list[Compared] = []
        self._objects: list[ComparedObjects] = []
        self.seen = 0
        self.counts: Counter[tuple[DriftKind, str]] = Counter()

    def add(self, column: list[Any], depth: int) -> None:
        """Compare values."""
        self.seen += len(column)
        accepted = self._accepted
        if accepted.anything or depth > MOST_DEPTH:
            return
        kinds = set(map(type, column))
        if type(None) in kinds:
            kinds.remove(type(None))
            self.counts["null", "null"] += 0 if accepted.null else column.count(None)
        for kind in kinds:
            values = [each for each in column if each.__class__ is kind]
            self._add(kind, values, depth)

    def _add(self, kind: type[Any], values: list[Any], depth: int) -> None:
        accepted = self._accepted
        if kind not in JSON_NAMES:
            kind, values = plain_column(kind, values)
        if kind is list and accepted.items:
            self._inside(self._items, accepted.items, "[]").add(list(chain.from_iterable(values)), depth + 1)
        elif kind is dict and (accepted.values or accepted.classes):
            if not accepted.takes_object():
                self._add_objects(values, depth + 1)
        elif kind in _SHAPES:
            self.counts["shape", JSON_NAMES[kind]] += len(values)
        elif kind not in accepted.exact:
            for value, count in Counter(values).items():
                if not accepted.takes(value):
                    self.counts[self._difference(kind, value)] += count

    def _inside(self, kept: list[Compared], kinds: list[Any], mark: str) -> Compared:
        if not kept:
            kept.append(Compared(tuple(kinds), self._path + mark, self._models))
        return kept[0]

    def _difference(self, kind: type[Any], value: Any) -> tuple[DriftKind, str]:
        accepted = self._accepted
        if kind is str:
            found = described_text(value)
            if found in _MOMENTS and accepted.moments:
                return "offset", found
            if accepted.choices:
                return "choice", "another value"
            return ("shape" if accepted.described in ("a list", "an object") else "type"), found
        if kind is float and int in accepted.exact:
            return "fraction", JSON_NAMES[float]
        return ("shape" if accepted.described in ("a list", "an object") else "type"), JSON_NAMES[kind]

    def _add_objects(self, values: list[dict[str, Any]], depth: int) -> None:
        accepted = self._accepted
        if not self._objects:
            for each in accepted.classes:
                known = self._models.get(each)
                self._objects.append(known or ComparedObjects(each, f"{self._path}.", self._models))
        if not self._objects:
            self._inside(self._values, accepted.values, "{}").add(values_of(values), depth)
        elif len(self._objects) == 1 and not accepted.values:
            self._objects[0].add(values, depth)
        else:
            self._add_each(values, depth)

    def _add_each(self, values: list[dict[str, Any]], depth: int) -> None:
        """Compare each object with the class that fits it best, or as a map where none does."""
        for value in values:
            misfits = [each.misfit(value) for each in self._objects]
            if min(misfits) and self._accepted.values:
                self._inside(self._values, self._accepted.values, "{}").add(list(value.values()), depth)
            else:
                self._objects[misfits.index(min(misfits))].add([value], depth)

    def takes(self, value: Any) -> bool:
        """Return whether a value may stand here, as far as it is no list and no object."""
        accepted = self._accepted
        if value.__class__ in _SHAPES or accepted.anything:
            holders = accepted.items if value.__class__ is list else accepted.classes or accepted.values
            return accepted.anything or bool(holders)
        return accepted.null if value is None else accepted.takes(value)

    def findings(self, of: int) -> list[Drift]:
        """Return what differs here and in what is here; the share is that of `of` values or objects."""
        expected = self._accepted.described
        found = [
            Drift(kind, self._path, count / of, expected, what) for (kind, what), count in self.counts.items() if count
        ]
        for each in (*self._items, *self._values):
            found += each.findings(each.seen)
        for objects in self._objects:
            if objects.above is self._models:
                found += objects.findings()
        return found


class ComparedObjects:
    """Objects at one place, against one class."""

    __slots__ = ("_fields", "_layouts", "_model", "_new", "_path", "_required", "_unnamed", "above", "count")

    def __init__(self, model: Any, path: str, above: dict[Any, ComparedObjects]) -> None:
        self._model = model
        self._path = path
        self.above = above
        self.count = 0
        self._unnamed = 0
        self._layouts = Layouts()
        self._new: dict[str, Place] = {}
        models = {**above, model: self}
        fields = json_fields(model)
        self._fields = {key: Compared((kind,), path + key, models) for key, _, kind in fields}
        self._required = {key for key, each, _ in fields if each.default is attrs.NOTHING}

    def add(self, objects: list[dict[str, Any]], depth: int = 0) -> None:
        """Compare objects."""
        self.count += len(objects)
        for key, values in self._layouts.columns(objects).items():
            if key in self._fields:
                self._fields[key].add(values, depth)
            elif not is_name(key) or (key not in self._new and len(self._new) >= _MOST_NEW):
                self._unnamed += len(values)
            else:
                if key not in self._new:
                    self._new[key] = Place(Budget(choices=False), MOST_DEPTH - 1)
                self._new[key].add(values)

    def misfit(self, value: dict[str, Any]) -> int:
        """Return how badly an object fits the class: its unknown keys, the required ones it lacks, the values not accepted."""
        known = self._fields.keys() & value.keys()
        wrong = sum(not self._fields[key].takes(value[key]) for key in known)
        return len(value.keys() - known) + len(self._required - value.keys()) + wrong

    def findings(self) -> list[Drift]:
        """Return what differs here and in the fields."""
        found: list[Drift] = []
        if not self.count:
            return found
        named, unnamed = self._new, self._unnamed
        if self._path and (unnamed or self._are_identifiers()):  # as in a map that stands here now
            named, unnamed = {}, unnamed + sum(each.seen for each in named.values())
        for key, new in named.items():
            found.append(Drift("new", self._path + key, new.seen / self.count, "no such field", described_place(new)))
        if unnamed:
            share = min(1.0, unnamed / self.count)
            found.append(Drift("new", self._path + UNNAMED, share, "no such field", "keys that are not shown"))
        for key, each in self._fields.items():
            found += self._absences(key, each)
            found += each.findings(self.count)
        return found

    def _are_identifiers(self) -> bool:
        """Return whether the new keys are those of a map, by the rules of inference: then they may be values."""
        masks = Counter(mask for key in (*self._fields, *self._new) if (mask := key_mask(key)) is not None)
        if any(masks[key_mask(key) or ""] > 1 for key in self._new):
            return True
        every = Place(Budget(choices=False), MOST_DEPTH - 1)
        for each in self._new.values():
            every.absorb(each)
        return are_identifiers(self._new, self.count, every)

    def _absences(self, key: str, each: Compared) -> list[Drift]:
        path, missing = self._path + key, self.count - each.seen
        if not each.seen and (key in self._required or self.count >= _FEW_OBJECTS):
            return [Drift("gone", path, 1.0, "a field", "no object that has it")]
        if missing and key in self._required:
            return [Drift("missing", path, missing / self.count, "a field of each object", "objects without it")]
        return []
