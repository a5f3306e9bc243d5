"""Finds the hook for each type in one class. Each decoder has a builder of its own, so no hook is shared half-built."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Literal, get_args

import attrs

from ..errors import ConfigurationError
from ..models import OpenRecord
from .codegen import DecoderCompiler
from .fields import ARRAYS, MAPPINGS, UNIONS, bare, container
from .hooks import (
    EXACT_TYPES,
    Hook,
    accepts_unknown,
    array_hook,
    enum_hook,
    literal_hook,
    mapping_hook,
    plain_hook,
)
from .scalars import SCALAR_HOOKS, Mismatch, decimal_hook, is_decimal
from .unions import union_hook

__all__ = ["HookBuilder", "Wanted", "open_record_hook"]


class Wanted:
    """A type, and the builder that looks for its hook."""

    __slots__ = ("_builder", "_kind")

    def __init__(self, kind: Any, builder: HookBuilder) -> None:
        self._kind = kind
        self._builder = builder

    def hook(self) -> Hook:
        """Make the hook."""
        return self._builder.make(self._kind)


class HookBuilder:
    """Makes the hooks for the types of one decoder.

    `find` looks up the hook that is wanted. `any_number` and `decimals` report, of the types seen so far, whether a field
    takes a whole number and a float alike, or a Decimal: it depends on how a number was written what these hold. The others
    are for the Footprint of the records.
    """

    def __init__(self, find: Callable[[Wanted], Hook]) -> None:
        self._find = find
        self._made: dict[type[Any], Hook] = {}
        self._being_made: dict[Any, list[Hook]] = {}
        self.any_number = False
        self.decimals = False
        self.nested = self.is_open = self.bulky = False
        self.widest = 0

    def hook_of(self, kind: Any) -> Hook:
        """Return the hook for a type. Raises ConfigurationError if it cannot be read strictly."""
        kind = bare(kind)
        if not isinstance(kind, type):  # not kept: `int | str` equals `str | int`, and the order matters
            return self._find(Wanted(kind, self))
        if kind not in self._made:
            self._made[kind] = self._find(Wanted(kind, self))
        return self._made[kind]

    def make(self, kind: Any) -> Hook:
        """Make the hook for a type."""
        self._note_numbers(kind)
        self._note_memory(kind)
        here = container(kind)
        if attrs.has(here):
            return self._object_hook(kind)
        if here in UNIONS:
            return union_hook(kind, self.hook_of)
        if here in MAPPINGS:
            return mapping_hook(kind, self.hook_of)
        if here in ARRAYS:
            return array_hook(kind, self.hook_of)
        made = next((make(kind) for fits, make in _KINDS if fits(kind)), None)
        if made is None:
            name = getattr(kind, "__name__", None) or str(kind)
            raise ConfigurationError(f"the type {name} cannot be read from JSON strictly")
        return made

    def _note_numbers(self, kind: Any) -> None:
        here = container(kind)
        if is_decimal(here):
            self.any_number = self.decimals = True
        elif here in (Any, object) or (isinstance(here, type) and issubclass(here, OpenRecord)):
            self.any_number = True
        elif here in UNIONS:
            members = [bare(each) for each in get_args(kind) if each is not types.NoneType]
            self.any_number |= float in members and len(members) > 1
        elif isinstance(kind, type) and issubclass(kind, Enum):
            self.any_number |= accepts_unknown(kind)
        elif (here in ARRAYS or here in MAPPINGS) and not get_args(kind):
            self.any_number = True

    def _note_memory(self, kind: Any) -> None:
        here = container(kind)
        is_class = attrs.has(here)
        holds = here in ARRAYS or here in MAPPINGS
        self.is_open |= here in (Any, object) or (holds and not get_args(kind))
        self.is_open |= is_class and issubclass(here, OpenRecord)
        self.nested |= is_class or holds
        self.bulky |= here in (set, frozenset) or is_decimal(here) or (kind in SCALAR_HOOKS and kind is not float)
        if is_class:
            self.widest = max(self.widest, len(attrs.fields(here)))

    def _object_hook(self, model: Any) -> Hook:
        if issubclass(container(model), OpenRecord):
            return open_record_hook(model)
        if model in self._being_made:  # a class that holds itself: its hook exists by the time the first value is read
            return _later(self._being_made[model])
        made = self._being_made[model] = []
        try:
            made.append(DecoderCompiler(model, self.hook_of).compile_one())
        finally:
            del self._being_made[model]
        return made[0]


def _later(made: list[Hook]) -> Hook:
    def structure(value: Any, kind: Any) -> Any:
        return made[0](value, kind)

    return structure


def _filled(model: Any, fill: Callable[[Any, Any], None], value: Any) -> Any:
    record: Any = model.__new__(model)
    fill(record, value)
    return record


def open_record_hook(model: type[Any]) -> Hook:
    """Return the hook for an OpenRecord or a subclass."""
    make: Any = model
    if make.__init__ is OpenRecord.__init__ and make.__new__ is object.__new__:  # without the guard of its arguments
        make = partial(_filled, model, inspect.unwrap(make.__init__))

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is not dict:
            raise Mismatch("an object", value)
        try:
            return make(value)
        except RecursionError:
            raise  # the decoder reports it
        except Exception:  # noqa: BLE001, S110 - it may quote the value  # nosec B110
            pass
        raise Mismatch("what the class accepts", value)

    return structure


def _anything(value: Any, _: Any) -> Any:
    return value


# A test of a type, and the function that makes its hook; the first match is used.
_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Hook]], ...] = (
    (lambda kind: kind in (Any, object), lambda _kind: _anything),
    (lambda kind: kind is None, lambda _kind: plain_hook(types.NoneType)),
    (lambda kind: kind in EXACT_TYPES, plain_hook),
    (lambda kind: kind in SCALAR_HOOKS, lambda kind: SCALAR_HOOKS[kind]),
    (is_decimal, decimal_hook),
    (lambda kind: isinstance(kind, type) and issubclass(kind, Enum), enum_hook),
    (lambda kind: container(kind) is Literal, literal_hook),
)
