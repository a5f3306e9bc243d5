"""JSON values into attrs objects, strictly. The only importer of cattrs.

One private converter dispatches on types; nothing that cattrs does to a value by default is left (it
would make `None` into `'None'` and `1.9` into `1`). For each attrs class the converter holds a function
written for that class.

A JSON key is the attribute's name in camelCase; `attrs.field(metadata={"json": "key"})` sets another.
"""

from __future__ import annotations

import functools
import types
from collections import abc
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Generic, Literal, TypeVar, Union, get_origin

import attrs
import cattrs

from ._record_writer import RecordWriter, json_key
from ._scalars import SCALARS, Mismatch
from ._structures import PLAIN, Hook, array_hook, enum_hook, literal_hook, mapping_hook, plain_hook, union_hook
from .errors import ConfigurationError, DecodeError
from .models import OpenRecord

__all__ = ["Decoder", "decoder_for"]

T = TypeVar("T")

_ARRAYS = {list, tuple, set, frozenset, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable}
_MAPPINGS = {dict, abc.Mapping, abc.MutableMapping}

_converter = cattrs.Converter(detailed_validation=False)
_being_written: set[type[Any]] = set()


def _hook_of(kind: Any) -> Hook:
    if kind in (bytes, bytearray, memoryview):  # JSON has none, and cattrs would not ask
        return _refuse(kind)
    return _converter.get_structure_hook(kind)


def _anything(value: Any, _: Any) -> Any:
    return value


def _refuse(kind: Any) -> Hook:
    name = getattr(kind, "__name__", None) or str(kind)
    raise ConfigurationError(f"the type {name} cannot be read from JSON strictly")


def _object_hook(model: type[Any]) -> Hook:
    if model in _being_written:  # a class that holds itself: its hook is there by the first value
        return lambda value, kind: _hook_of(kind)(value, kind)
    _being_written.add(model)
    try:
        decode_into = RecordWriter(model, _hook_of).write()
    finally:
        _being_written.discard(model)

    def structure(value: Any, _: Any) -> Any:
        made: list[Any] = []
        decode_into([value], made)
        return made[0]

    return structure


def _container(kind: Any) -> Any:
    return get_origin(kind) or kind


# What a type is, and what makes the hook for it; the first that fits.
_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Hook]], ...] = (
    (lambda kind: kind in (Any, object), lambda _kind: _anything),
    (lambda kind: kind is None, lambda _kind: plain_hook(types.NoneType)),
    (lambda kind: kind in PLAIN, plain_hook),
    (lambda kind: kind in SCALARS, lambda kind: SCALARS[kind]),
    (lambda kind: isinstance(kind, type) and issubclass(kind, Enum), enum_hook),
    (attrs.has, _object_hook),
    (lambda kind: _container(kind) is Literal, literal_hook),
    (lambda kind: _container(kind) in (Union, types.UnionType), lambda kind: union_hook(kind, _hook_of)),
    (lambda kind: _container(kind) in _MAPPINGS, lambda kind: mapping_hook(kind, _hook_of)),
    (lambda kind: _container(kind) in _ARRAYS, lambda kind: array_hook(kind, _hook_of)),
)


def _make_hook(kind: Any) -> Hook:
    return next((make(kind) for fits, make in _KINDS if fits(kind)), None) or _refuse(kind)


_converter.register_structure_hook_factory(lambda _kind: True, _make_hook)
for _kind in (*PLAIN, *SCALARS):  # for some of these cattrs asks no factory
    _converter.register_structure_hook(_kind, _make_hook(_kind))


_TOO_DEEP = Mismatch("less nesting", {})


class Decoder(Generic[T]):
    """Turns windows of decoded JSON values into objects of one class."""

    def __init__(self, model: type[T]) -> None:
        is_open = issubclass(model, OpenRecord)
        self._decode_into = _open_records(model) if is_open else RecordWriter(model, _hook_of).write()
        fields: tuple[Any, ...] = () if is_open else attrs.fields(model)  # type: ignore[arg-type]
        self._known = frozenset(json_key(each) for each in fields)
        self._all_required = all(each.init and each.default is attrs.NOTHING for each in fields)
        self._is_open = is_open

    def decode(self, values: list[Any], first_index: int) -> list[T]:
        """Return an object for each value. Raises DecodeError at the first that is not what the class says."""
        made: list[T] = []
        try:
            self._decode_into(values, made)
        except Mismatch as fault:
            error = fault.error(first_index + len(made))
        except RecursionError:
            error = _TOO_DEEP.error(first_index + len(made))
        else:
            return made
        raise error

    def decode_each(self, values: list[Any], first_index: int, errors: list[DecodeError]) -> list[T]:
        """Return an object for each good value, and add a DecodeError to `errors` for each bad one."""
        made: list[T] = []
        done = 0
        while done < len(values):
            before = len(made)
            try:
                self._decode_into(values[done:], made)
                break
            except Mismatch as fault:
                bad = fault
            except RecursionError:
                bad = _TOO_DEEP
            done += len(made) - before
            errors.append(bad.error(first_index + done))
            done += 1
        return made

    def unknown_fields(self, values: list[Any]) -> Iterable[str]:
        """Return the keys of these good records that the class does not know; none for an OpenRecord."""
        if self._is_open:
            return ()
        if self._all_required and sum(map(len, values)) == len(self._known) * len(values):
            return ()  # each has all the known ones, and so no other
        every: set[str] = set()
        return every.union(*values) - self._known


def _open_records(model: type[Any]) -> Callable[[list[Any], list[Any]], None]:
    def decode_into(values: list[Any], made: list[Any]) -> None:
        for value in values:
            if value.__class__ is not dict:
                raise Mismatch("an object", value)
            made.append(model(value))

    return decode_into


@functools.lru_cache(maxsize=256)
def _made_once(model: Any) -> Decoder[Any]:
    return Decoder(model)


def decoder_for(model: type[T]) -> Decoder[T]:
    """Return the decoder of an attrs class, made once. Raises ConfigurationError, which names class and field."""
    kind: Any = model
    return _made_once(kind)
