"""Makes the hooks that read JSON arrays, objects and choices as Python types, strictly: one function for each kind of type."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterable
from enum import Enum, Flag
from typing import Any, get_args

import orjson

from .._json import ATOMS
from ..errors import ConfigurationError
from .fields import container
from .scalars import Mismatch

__all__ = [
    "EXACT_TYPES",
    "Hook",
    "HookOf",
    "accepts_unknown",
    "array_hook",
    "enum_hook",
    "literal_hook",
    "mapping_hook",
    "plain_hook",
]

Hook = Callable[[Any, Any], Any]
HookOf = Callable[[Any], Hook]

#: Types that a value matches if its class is that type, and their names in errors.
EXACT_TYPES: dict[Any, str] = {str: "text", int: "a whole number", bool: "true or false", types.NoneType: "null"}
#: An error lists no more allowed values, and no more of their text.
MOST_LISTED, MOST_LISTED_TEXT = 20, 300


def plain_hook(kind: Any) -> Hook:
    expected = EXACT_TYPES[kind]

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is not kind:
            raise Mismatch(expected, value)
        return value

    return structure


def literal_hook(kind: Any) -> Hook:
    allowed: dict[type[Any], set[Any]] = {}  # by class, since True == 1
    for value in get_args(kind):
        if value.__class__ not in EXACT_TYPES:
            raise ConfigurationError("a Literal from JSON is text, a whole number, true, false or null")
        allowed.setdefault(value.__class__, set()).add(value)
    expected = f"one of the values the class allows ({_listed(get_args(kind))})"

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ in allowed and value in allowed[value.__class__]:
            return value
        raise Mismatch(expected, value)

    return structure


def _listed(values: Iterable[Any]) -> str:
    """Return the values that a class allows as JSON, for an error: the first of them if they are many."""
    texts = [str(each) if each.__class__ in (int, float) else orjson.dumps(each).decode() for each in values]
    shown = ", ".join(texts[:MOST_LISTED])
    more = len(texts) > MOST_LISTED or len(shown) > MOST_LISTED_TEXT
    return shown[:MOST_LISTED_TEXT] + ", ..." * more


def accepts_unknown(kind: type[Enum]) -> bool:
    """Return whether an enum defines what to make of a value that it does not know."""
    return any("_missing_" in vars(base) for base in kind.__mro__ if base.__module__ != "enum")


def enum_hook(kind: type[Enum]) -> Hook:
    members: dict[type[Any], dict[Any, Enum]] = {}  # by class, since True == 1
    for each in kind:
        if each.value.__class__ in ATOMS:
            members.setdefault(each.value.__class__, {})[each.value] = each
    takes_unknown = accepts_unknown(kind)
    if issubclass(kind, Flag):
        return _flag_hook(kind)
    if not members and not takes_unknown:
        raise ConfigurationError(f"{kind.__name__} has no member whose value is text, a number, true, false or null")
    listed = _listed([each for values in members.values() for each in values])
    expected = f"a value of {kind.__name__} ({listed})" if listed else f"a value of {kind.__name__}"

    def structure(value: Any, _: Any) -> Any:
        known = members.get(value.__class__)
        if known is not None and value in known:
            return known[value]
        if takes_unknown and value.__class__ in ATOMS:
            made: object = None
            with contextlib.suppress(Exception):  # the class's own code; its error may quote the value
                made = kind._missing_(value)  # kind(value) would accept True as 1
            if isinstance(made, kind):
                return made
        raise Mismatch(expected, value)

    return structure


def _flag_hook(kind: type[Flag]) -> Hook:
    known = 0
    for each in kind.__members__.values():
        known |= each.value

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is int and value & ~known == 0:
            return kind(value)
        raise Mismatch(f"flags of {kind.__name__}", value)

    return structure


def array_hook(kind: Any, hook_of: HookOf) -> Hook:
    origin = container(kind)
    arguments: tuple[Any, ...] = get_args(kind) or (Any,)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        raise ConfigurationError("a tuple of fixed length cannot be read from JSON: write tuple[T, ...]")
    member = arguments[0]
    builds: dict[Any, Callable[[list[Any]], Any]] = {frozenset: frozenset, set: set, tuple: tuple}
    build = builds.get(origin)
    hook = hook_of(member)

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is not list:
            raise Mismatch("a list", value)
        made: list[Any] = []
        try:
            for each in value:
                made.append(hook(each, member))  # noqa: PERF401 - its length is the index of the bad element
        except Mismatch as fault:
            raise fault.inside(f"[{len(made)}]") from None
        if build is None:
            return made
        try:
            return build(made)
        except TypeError:
            pass
        raise Mismatch("a list of values that a set can hold", value)

    return structure


def mapping_hook(kind: Any, hook_of: HookOf) -> Hook:
    arguments = get_args(kind) or (str, Any)
    if arguments[0] not in (str, Any):
        raise ConfigurationError("the keys of a JSON object are text: write dict[str, T]")
    hook = hook_of(arguments[1])

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is not dict:
            raise Mismatch("an object", value)
        try:
            return {key: hook(each, arguments[1]) for key, each in value.items()}
        except Mismatch as fault:
            raise fault.inside("[...]") from None  # a key may be a patient's name

    return structure
