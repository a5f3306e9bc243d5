"""What stands at each place of the records seen so far: counts, forms and flags, and no value.

A window of records is observed column by column: a few passes at C speed over the values of a field, and no work in Python for
each of them. What it ends with does not depend on the order of the records, nor on how they were divided before a merge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from math import isfinite
from typing import Any

from ..errors import ConfigurationError
from .bounds import MOST_DEPTH, MOST_FIELDS, MOST_HOLDERS, Budget, is_name, key_mask, too_many_fields
from .columns import Layouts, values_of
from .maps import are_identifiers
from .numbers import ALL_FLAGS, number_flags
from .plain import plain_column
from .texts import Texts

__all__ = ["Objects", "Place"]


class Place:
    """One place: the value of a field, the items of a list, or the values of a map."""

    __slots__ = ("_budget", "_depth", "bools", "deep", "flags", "floats", "ints", "items", "lists", "nulls", "objects", "seen", "text", "texts")  # fmt: skip

    def __init__(self, budget: Budget, depth: int) -> None:
        budget.take()
        self._budget = budget
        self._depth = depth
        self.seen = self.nulls = self.bools = self.ints = self.floats = self.texts = self.lists = 0
        self.flags = 0  # of the whole numbers
        self.deep = False
        self.text: Texts | None = None
        self.items: Place | None = None
        self.objects: Objects | None = None

    def add(self, column: list[Any]) -> None:
        """Observe values."""
        self.seen += len(column)
        kinds = set(map(type, column))
        if len(kinds) == 1:
            self._add(kinds.pop(), column)
        else:
            for kind in kinds:
                self._add(kind, [each for each in column if each.__class__ is kind])

    def _add(self, kind: type[Any], column: list[Any]) -> None:
        add = _ADD.get(kind)
        if add is None:  # a subclass, a mapping, ...: of a list of the caller's
            kind, column = plain_column(kind, column)
            add = _ADD[kind]
        add(self, column)

    def add_texts(self, column: list[str]) -> None:
        """Observe texts."""
        self.texts += len(column)
        if self.text is None:
            self.text = Texts(choices=self._budget.choices)
        if not self.text.plain or self.text.choices is not None:
            self.text.add(column)

    def add_ints(self, column: list[int]) -> None:
        """Observe whole numbers."""
        self.ints += len(column)
        if self.flags != ALL_FLAGS:
            self.flags |= number_flags(column)

    def add_lists(self, column: list[list[Any]]) -> None:
        """Observe arrays."""
        self.lists += len(column)
        if self._depth >= MOST_DEPTH:
            self.deep = True
            return
        if self.items is None:
            self.items = Place(self._budget, self._depth + 1)
        values = list(chain.from_iterable(column))
        if values:
            self.items.add(values)

    def add_objects(self, column: list[dict[str, Any]]) -> None:
        """Observe objects."""
        if self._depth >= MOST_DEPTH:
            self.deep = True
            return
        if self.objects is None:
            self.objects = Objects(self._budget, self._depth + 1)
        self.objects.add(column)

    def add_bools(self, column: list[bool]) -> None:
        """Observe true and false."""
        self.bools += len(column)

    def add_floats(self, column: list[float]) -> None:
        """Observe numbers with a fraction. Raises ConfigurationError for one that JSON does not have."""
        if not isfinite(sum(column)) and not all(map(isfinite, column)):  # a sum of finite ones may be infinite
            raise ConfigurationError("a record holds a number that JSON does not have: NaN, or an infinite one")
        self.floats += len(column)

    def add_nulls(self, column: list[None]) -> None:
        """Observe nulls."""
        self.nulls += len(column)

    def size(self) -> int:
        """Return how many places are at this one and in it."""
        inner = self.objects.size() if self.objects is not None else 0
        return 1 + inner + (self.items.size() if self.items is not None else 0)

    def kind_count(self) -> int:
        """Return how many kinds of values were seen, null aside."""
        kinds = (
            self.bools,
            self.ints + self.floats,
            self.texts,
            self.lists,
            self.objects is not None and self.objects.count,
        )
        return sum(map(bool, kinds))

    def absorb(self, other: Place) -> None:
        """Learn what another place has learned, which is not changed."""
        for name in ("seen", "nulls", "bools", "ints", "floats", "texts", "lists"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.flags |= other.flags
        self.deep |= other.deep
        if other.text is not None:
            if self.text is None:
                self.text = Texts(choices=other.text.choices is not None)
            self.text.absorb(other.text)
        if other.items is not None:
            if self.items is None:
                self.items = Place(self._budget, self._depth + 1)
            self.items.absorb(other.items)
        if other.objects is not None:
            if self.objects is None:
                self.objects = Objects(self._budget, self._depth + 1)
            self.objects.absorb(other.objects)


_ADD: dict[type[Any], Callable[[Any, list[Any]], None]] = {
    str: Place.add_texts,
    int: Place.add_ints,
    float: Place.add_floats,
    bool: Place.add_bools,
    type(None): Place.add_nulls,
    list: Place.add_lists,
    tuple: Place.add_lists,
    dict: Place.add_objects,
}


class Objects:
    """The objects at one place: their fields, or what their values are where the keys are identifiers.

    The records themselves (`top`) always have fields: keys that are no names are left out, and counted.
    """

    __slots__ = ("_budget", "_depth", "_layouts", "_masks", "count", "fields", "item", "top", "unnamed")

    def __init__(self, budget: Budget, depth: int = 0, *, top: bool = False) -> None:
        self._budget = budget
        self._depth = depth
        self._layouts = Layouts()
        self._masks: dict[str, str] = {}  # the first key of each mask
        self.top = top
        self.count = self.unnamed = 0
        self.fields: dict[str, Place] = {}
        self.item: Place | None = None

    def add(self, column: list[dict[str, Any]]) -> None:
        """Observe objects."""
        self.count += len(column)
        if self.item is not None:
            self._add_values(column)
            return
        columns = self._layouts.columns(column)
        if not self._know(columns):
            self._add_values(column)
            return
        for key, values in columns.items():
            place = self.fields.get(key)
            if place is not None:
                place.add(values)
        self._bound_holders()

    def _add_values(self, column: list[dict[str, Any]]) -> None:
        assert self.item is not None
        keys = set(map(type, chain.from_iterable(column)))
        if not keys <= {str}:
            for key in chain.from_iterable(column):
                is_name(key)  # which raises
        values = values_of(column)
        if values:
            self.item.add(values)

    def _know(self, columns: dict[str, list[Any]]) -> bool:
        """Make places for new keys. Return False if the keys are identifiers: then the values are those of a map."""
        if columns.keys() <= self.fields.keys():
            return True
        new = columns.keys() - self.fields.keys()
        names = {key for key in new if is_name(key)}
        if self.top:
            self.unnamed += sum(len(columns[key]) for key in new - names)
            if len(names) + len(self.fields) > MOST_FIELDS:
                raise too_many_fields()
        elif len(names) < len(new) or len(names) + len(self.fields) > MOST_FIELDS or self._numbered(names):
            self._to_map()
            return False
        for key in names:
            self.fields[key] = Place(self._budget, self._depth)
        return True

    def _numbered(self, keys: Iterable[str]) -> bool:
        for key in keys:
            mask = key_mask(key)
            if mask is not None and self._masks.setdefault(mask, key) != key:
                return True
        return False

    def _bound_holders(self) -> None:
        """Make a map of more keys of objects or lists than a class has: their places would use up the budget."""
        if self.top or len(self.fields) <= MOST_HOLDERS:
            return
        if sum(each.items is not None or each.objects is not None for each in self.fields.values()) > MOST_HOLDERS:
            self._to_map()

    def _to_map(self) -> None:
        """Forget the keys."""
        if self.item is None:
            self.item = Place(self._budget, self._depth)
            for each in self.fields.values():
                self.item.absorb(each)
                self._budget.give_back(each.size())
            self.fields, self._masks, self._layouts = {}, {}, Layouts()

    def absorb(self, other: Objects) -> None:
        """Learn what another has learned, which is not changed."""
        self.count += other.count
        self.unnamed += other.unnamed
        if self.item is None and other.item is None:
            new = other.fields.keys() - self.fields.keys()
            many = len(new) + len(self.fields) > MOST_FIELDS
            if self.top and many:
                raise too_many_fields()
            if not self.top and (many or self._numbered(new)):
                self._to_map()
        elif self.item is None:
            self._to_map()
        if self.item is not None:
            for each in [other.item] if other.item is not None else other.fields.values():
                self.item.absorb(each)
            return
        for key, each in other.fields.items():
            if key not in self.fields:
                self.fields[key] = Place(self._budget, self._depth)
            self.fields[key].absorb(each)
        self._bound_holders()

    def size(self) -> int:
        """Return how many places are in these objects."""
        return sum(each.size() for each in self.fields.values()) + (self.item.size() if self.item is not None else 0)

    def all_values(self) -> Place:
        """Return what the values of all keys are together, as those of a map."""
        if self.item is not None:
            return self.item
        found = Place(Budget(choices=self._budget.choices), self._depth)
        for each in self.fields.values():
            found.absorb(each)
        return found

    def is_map(self) -> bool:
        """Return whether the keys are identifiers, as far as is known. More records can change that, and merging more models."""
        if self.item is not None or self.top:
            return self.item is not None
        return are_identifiers(self.fields, self.count, self.all_values())
