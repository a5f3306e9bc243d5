"""Turns JSON values into attrs objects, strictly. The only importer of cattrs.

A private cattrs converter finds the hook for a type. None of its default conversions is used (they
would turn `None` into `'None'` and `1.9` into `1`). For each attrs class a function is compiled.

A JSON key is the attribute's name in camelCase; `attrs.field(metadata={"json": "key"})` sets another.
"""

from __future__ import annotations

import functools
import types
from collections import abc
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar, Union, get_origin

import attrs
import cattrs

from ..errors import ConfigurationError, DecodeError
from ..models import OpenRecord
from .codegen import DecoderCompiler, json_key
from .hooks import (
    EXACT_TYPES,
    Hook,
    array_hook,
    clear_refused,
    enum_hook,
    literal_hook,
    mapping_hook,
    plain_hook,
    union_hook,
)
from .scalars import SCALAR_HOOKS, Mismatch, decimal_hook, is_decimal

__all__ = ["Decoder", "decoder_for"]

T = TypeVar("T")

_ARRAYS = {list, tuple, set, frozenset, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable}
_MAPPINGS = {dict, abc.Mapping, abc.MutableMapping}

#: The most errors that are collected; the next one is raised, so that memory stays bounded.
MOST_ERRORS = 10_000

_converter = cattrs.Converter(detailed_validation=False)
_being_written: dict[Any, list[Hook]] = {}

#: Some versions of cattrs have hooks of their own for these classes and their subclasses (a StrEnum!), ahead of a factory.
_BYPASS_CATTRS = (str, bytes, int, float, Path, Enum)


def _hook_of(kind: Any) -> Hook:
    if get_origin(kind) is Annotated:
        return _hook_of(kind.__origin__)
    if isinstance(kind, type) and issubclass(kind, _BYPASS_CATTRS):
        return _make_hook(kind)
    # Only classes are cached: `int | str` equals `str | int`, and the order matters.
    return _converter.get_structure_hook(kind, cache_result=isinstance(kind, type))


def _anything(value: Any, _: Any) -> Any:
    return value


def _refuse(kind: Any) -> Hook:
    name = getattr(kind, "__name__", None) or str(kind)
    raise ConfigurationError(f"the type {name} cannot be read from JSON strictly")


def _object_hook(model: Any) -> Hook:
    if issubclass(get_origin(model) or model, OpenRecord):
        return _open_record(model)
    if model in _being_written:  # a class that holds itself: its hook exists by the time the first value is read
        return _later(_being_written[model])
    written = _being_written[model] = []
    try:
        written.append(DecoderCompiler(model, _hook_of).compile_one())
    finally:
        del _being_written[model]
    return written[0]


def _later(written: list[Hook]) -> Hook:
    def structure(value: Any, kind: Any) -> Any:
        return written[0](value, kind)

    return structure


def _open_record(model: type[Any]) -> Hook:
    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is not dict:
            raise Mismatch("an object", value)
        try:
            return model(value)
        except RecursionError:
            raise  # the decoder reports it
        except Exception:  # noqa: BLE001, S110 - it may quote the value  # nosec B110
            pass
        raise Mismatch("what the class accepts", value)

    return structure


def _container(kind: Any) -> Any:
    return get_origin(kind) or kind


# A test of a type, and the function that makes its hook; the first match is used.
_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Hook]], ...] = (
    (lambda kind: kind in (Any, object), lambda _kind: _anything),
    (lambda kind: kind is None, lambda _kind: plain_hook(types.NoneType)),
    (lambda kind: kind in EXACT_TYPES, plain_hook),
    (lambda kind: kind in SCALAR_HOOKS, lambda kind: SCALAR_HOOKS[kind]),
    (is_decimal, decimal_hook),
    (lambda kind: isinstance(kind, type) and issubclass(kind, Enum), enum_hook),
    (attrs.has, _object_hook),
    (lambda kind: isinstance(kind, NewType), lambda kind: _hook_of(kind.__supertype__)),
    (lambda kind: _container(kind) is Literal, literal_hook),
    (lambda kind: _container(kind) in (Union, types.UnionType), lambda kind: union_hook(kind, _hook_of)),
    (lambda kind: _container(kind) in _MAPPINGS, lambda kind: mapping_hook(kind, _hook_of)),
    (lambda kind: _container(kind) in _ARRAYS, lambda kind: array_hook(kind, _hook_of)),
)


def _make_hook(kind: Any) -> Hook:
    return next((make(kind) for fits, make in _KINDS if fits(kind)), None) or _refuse(kind)


_converter.register_structure_hook_factory(lambda _kind: True, _make_hook)


class Decoder(Generic[T]):
    """Turns windows of decoded JSON values into objects of one class."""

    def __init__(self, model: type[T]) -> None:
        kind: Any = get_origin(model) or model
        if not attrs.has(kind):
            raise ConfigurationError(f"{kind.__name__} is not an attrs class")
        is_open = issubclass(kind, OpenRecord)
        self._decode_into = _open_records(kind) if is_open else DecoderCompiler(model, _hook_of).compile()
        fields: tuple[Any, ...] = attrs.fields(kind)
        self._known = frozenset(json_key(each) for each in fields)
        self._all_required = all(each.init and each.default is attrs.NOTHING for each in fields)
        self._is_open = is_open

    def decode(self, values: list[Any], first_index: int) -> list[T]:
        """Return an object for each value. Raises DecodeError at the first that does not match the class."""
        made: list[T] = []
        error = self._fill(made, iter(values), first_index)
        if error is None:
            return made
        try:
            raise error
        finally:
            del error  # or the error would hold this frame, and the frame the error: a window kept for the collector

    def decode_each(self, values: list[Any], first_index: int, errors: list[DecodeError]) -> list[T]:
        """Return an object for each good value, and add a DecodeError to `errors` for each bad one, up to MOST_ERRORS."""
        made: list[T] = []
        pending = iter(values)
        bad = 0
        while error := self._fill(made, pending, first_index + bad):
            if len(errors) >= MOST_ERRORS:
                try:
                    raise error
                finally:
                    del error  # see `decode`
            errors.append(error)
            bad += 1
        return made

    def _fill(self, made: list[T], pending: Iterator[Any], offset: int) -> DecodeError | None:
        """Make objects until a value is bad (it is consumed from `pending`, too) or none is left."""
        try:
            self._decode_into(pending, made)
        except Mismatch as fault:
            return fault.error(offset + len(made))
        except RecursionError:
            pass  # a class that holds itself, and a value that is deeper than the interpreter goes
        else:
            return None
        finally:
            clear_refused()
        return DecodeError("expected less nesting, found an object", record_index=offset + len(made))

    def unknown_fields(self, values: list[Any], *, all_good: bool = True) -> Iterable[str]:
        """Return the keys of these records that the class does not know; none for an OpenRecord."""
        if self._is_open:
            return ()
        if all_good and self._all_required and sum(map(len, values)) == len(self._known) * len(values):
            return ()  # each has all the known ones, and so no other
        every: set[str] = set()
        return every.union(*values) - self._known


def _open_records(model: type[Any]) -> Callable[[Iterable[Any], list[Any]], None]:
    make = _open_record(model)

    def decode_into(values: Iterable[Any], made: list[Any]) -> None:
        for value in values:
            made.append(make(value, model))  # noqa: PERF401 - what was made before a bad one counts

    return decode_into


@functools.lru_cache(maxsize=256)
def _cached(model: Any, _text: str) -> Decoder[Any]:  # Box[int | str] equals Box[str | int]; the order matters
    return Decoder(model)


def decoder_for(model: type[T]) -> Decoder[T]:
    """Return the cached decoder of an attrs class. Raises ConfigurationError, which names class and field."""
    kind: Any = model
    if isinstance(kind, type):
        return _cached(kind, "")
    if not isinstance(get_origin(kind), type):
        raise ConfigurationError("the model is not an attrs class")
    return _cached(kind, str(kind))
