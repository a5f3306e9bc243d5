"""How JSON arrays, objects and choices are read as Python types, strictly. Each function makes the hook for one type."""

from __future__ import annotations

import types
from collections.abc import Callable
from enum import Enum
from typing import Any, get_args, get_origin

from ._scalars import Mismatch
from .errors import ConfigurationError

__all__ = [
    "PLAIN",
    "Hook",
    "HookOf",
    "array_hook",
    "enum_hook",
    "literal_hook",
    "mapping_hook",
    "plain_hook",
    "union_hook",
]

Hook = Callable[[Any, Any], Any]
HookOf = Callable[[Any], Hook]

#: Types whose values need no more than a look at their class.
PLAIN: dict[Any, str] = {str: "text", int: "a whole number", bool: "true or false", types.NoneType: "null"}


def plain_hook(kind: Any) -> Hook:
    expected = PLAIN[kind]

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is not kind:
            raise Mismatch(expected, value)
        return value

    return structure


def union_hook(kind: Any, hook_of: HookOf) -> Hook:
    """The first member that takes the value, in the order written; null is looked for before all others."""
    members = [(member, hook_of(member)) for member in get_args(kind) if member is not types.NoneType]
    optional = len(members) < len(get_args(kind))

    def structure(value: Any, _: Any) -> Any:
        if value is None and optional:
            return None
        faults: list[Mismatch] = []
        for member, hook in members:
            try:
                return hook(value, member)
            except Mismatch as fault:
                faults.append(fault)
        if len(members) == 1:  # an optional: what is wrong inside says more
            raise faults[0]
        raise Mismatch(" or ".join(dict.fromkeys(fault.expected for fault in faults)), value)

    return structure


def literal_hook(kind: Any) -> Hook:
    allowed = {(value.__class__, value) for value in get_args(kind)}

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ not in (str, int, bool, types.NoneType) or (value.__class__, value) not in allowed:
            raise Mismatch("one of the values the class allows", value)
        return value

    return structure


def enum_hook(kind: type[Enum]) -> Hook:
    members = {(member.value.__class__, member.value): member for member in kind}
    answers_for_unknown = "_missing_" in {name for base in kind.__mro__[:-1] if base is not Enum for name in vars(base)}

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ in (str, int, float, bool, types.NoneType):
            member = members.get((value.__class__, value))
            if member is not None:
                return member
            if answers_for_unknown:
                try:
                    return kind(value)
                except Exception:  # noqa: BLE001, S110 - it is the class that refuses, in whatever way
                    pass
        raise Mismatch(f"a value of {kind.__name__}", value)

    return structure


def array_hook(kind: Any, hook_of: HookOf) -> Hook:
    origin = get_origin(kind) or kind
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
                made.append(hook(each, member))  # noqa: PERF401 - its length tells where it broke
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
