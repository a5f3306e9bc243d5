"""What the fields of an attrs class are called in JSON, which types they have, and where classes are in these."""

from __future__ import annotations

import sys
import types
from collections import abc
from collections.abc import Iterator
from typing import Annotated, Any, NewType, Union, cast, get_args, get_origin, get_type_hints

import attrs

from ..errors import ConfigurationError
from .scalars import NaiveDatetime

__all__ = [
    "ARRAYS",
    "MAPPINGS",
    "UNIONS",
    "awaits_names",
    "bare",
    "container",
    "json_fields",
    "json_key",
    "known_keys",
    "places",
]

ARRAYS: set[Any] = {list, tuple, set, frozenset, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable}
MAPPINGS: set[Any] = {dict, abc.Mapping, abc.MutableMapping}
UNIONS: set[Any] = {Union, types.UnionType}


def json_key(attribute: attrs.Attribute[Any]) -> str:
    """Return the JSON key of an attribute: `profile_image` is `profileImage`."""
    key = attribute.metadata.get("json")
    if key is not None:
        return str(key)
    first, *rest = attribute.name.strip("_").split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def known_keys(model: Any) -> frozenset[str]:
    """Return the JSON keys that a class knows."""
    fields: tuple[Any, ...] = attrs.fields(container(model))
    return frozenset(json_key(each) for each in fields)


def container(kind: Any) -> Any:
    """Return `list` for `list[int]`, and a class as it is."""
    return get_origin(kind) or kind


def bare(kind: Any) -> Any:
    """Return the type that an Annotated or a NewType stands for. NaiveDatetime stands for itself."""
    while True:
        if get_origin(kind) is Annotated:
            kind = kind.__origin__
        elif isinstance(kind, NewType) and kind is not NaiveDatetime:
            kind = kind.__supertype__
        else:
            return kind


def places(kind: Any) -> Iterator[tuple[tuple[type[Any], ...], Any]]:
    """Yield each attrs class that JSON of this type can hold, and the JSON containers around it, as in `(list, dict)`."""
    kind = bare(kind)
    here = container(kind)
    if here in UNIONS:
        for member in get_args(kind):
            yield from places(member)
    elif here in ARRAYS or here in MAPPINGS:
        is_mapping = here in MAPPINGS
        member = (get_args(kind) or (Any, Any))[is_mapping]
        for inner, model in places(member):
            yield (dict if is_mapping else list, *inner), model
    elif attrs.has(here):
        yield (), kind


def json_fields(model: Any) -> list[tuple[str, attrs.Attribute[Any], Any]]:
    """Return the fields that are read from JSON, each as its key, its attribute and its type.

    In the types, names in quotes are looked up, type variables filled in, and `Missing`, which JSON does not have, left out.
    """
    kinds = _field_types(model)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(container(model))
    found = [(json_key(each), each, kinds[each.name]) for each in fields if each.init]
    missing = sys.modules.get(f"{__package__}.missing")  # a program with such a type has imported it
    without: Any = getattr(missing, "without_missing", None)
    return (
        found if without is None else [(key, each, without(kind, each, container(model))) for key, each, kind in found]
    )


def awaits_names(alias: Any) -> bool:
    """Return whether an annotation of this class, or of one in its fields, has a name that is not defined (yet)."""
    pending, seen = [alias], list[Any]()
    while pending:
        model = pending.pop()
        if model in seen:
            continue
        seen.append(model)
        try:
            hints = _hints(container(model))
        except (
            NameError,
            AttributeError,
            ImportError,
        ):  # of a name, or of one in a module that is still being imported
            return True
        except Exception:  # noqa: BLE001, S112 - an annotation is code, and can fail in any way  # nosec B112
            continue
        pending += [each for kind in hints.values() for _, each in places(kind)]
    return False


def _hints(model: type[Any]) -> dict[str, Any]:
    nested = {
        name: each
        for base in reversed(model.__mro__)
        for name, each in vars(base).copy().items()  # another thread may add what the class keeps
        if isinstance(each, type)
    }
    return get_type_hints(model, localns={**nested, model.__name__: model})


def _field_types(alias: Any) -> dict[str, Any]:
    model: type[Any] = container(alias)
    problem = ""
    hints: dict[str, Any] = {}
    try:
        hints = _hints(model)
    except Exception as error:  # noqa: BLE001 - an annotation is code, and can fail in any way
        problem = type(error).__name__
    if problem:
        raise ConfigurationError(
            f"{model.__name__}: its annotations cannot be resolved ({problem}):"
            " define the class and its types at the module's top level"
        )
    own: dict[Any, Any] = dict(zip(getattr(model, "__parameters__", ()), get_args(alias), strict=False))
    of_bases = {**own, **_given_to_bases(model, own)}

    def fill(kind: Any, known: dict[Any, Any]) -> Any:
        if kind in known:
            return known[kind]
        open_ones: tuple[Any, ...] = () if isinstance(kind, cast("Any", type)) else getattr(kind, "__parameters__", ())
        return kind[tuple(known.get(each, each) for each in open_ones)] if open_ones else kind

    fields: tuple[Any, ...] = attrs.fields(model)
    return {each.name: fill(hints.get(each.name, each.type), of_bases if each.inherited else own) for each in fields}


def _given_to_bases(model: type[Any], known: dict[Any, Any]) -> dict[Any, Any]:
    """Return the types that the type variables of generic bases stand for: in `class IntBox(Box[int])`, int for T."""
    given: dict[Any, Any] = {}
    bases: tuple[Any, ...] = getattr(model, "__orig_bases__", ())
    for base in bases:
        origin: Any = get_origin(base)
        parameters: tuple[Any, ...] = getattr(origin, "__parameters__", ())
        if not parameters or base is origin:
            continue
        arguments = [known.get(each, each) for each in get_args(base)]
        mine: dict[Any, Any] = dict(zip(parameters, arguments, strict=False))
        given |= mine | _given_to_bases(origin, mine)
    return given
