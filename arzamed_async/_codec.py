"""JSON values into attrs objects, strictly. The only importer of cattrs.

One private converter dispatches on types; nothing that it does by default to a value is left (cattrs
would make `None` into `'None'` and `1.9` into `1`). For each attrs class it is given a function
written for that class, so that a record costs little more than the checks themselves.

A JSON key is the attribute's name in camelCase; `attrs.field(metadata={"json": "key"})` sets another.
"""

from __future__ import annotations

import functools
import types
from collections import abc
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin

import attrs
import cattrs

from ._scalars import SCALARS, Mismatch
from .errors import ConfigurationError, DecodeError
from .models import OpenRecord

__all__ = ["Decoder", "decoder_for"]

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]

#: Classes whose values need no more than a look at their type.
_PLAIN: dict[Any, str] = {str: "text", int: "a whole number", bool: "true or false", types.NoneType: "null"}

_converter = cattrs.Converter(detailed_validation=False)


def json_key(attribute: attrs.Attribute[Any]) -> str:
    """Return the JSON key of an attribute: `profile_image` is `profileImage`."""
    key = attribute.metadata.get("json")
    if key is not None:
        return str(key)
    first, *rest = attribute.name.strip("_").split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _hook(kind: Any) -> Hook:
    return _converter.get_structure_hook(kind)


def _plain_hook(kind: Any) -> Hook:
    expected = _PLAIN[kind]

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is not kind:
            raise Mismatch(expected, value)
        return value

    return structure


def _union_hook(kind: Any) -> Hook:
    members = [(member, _hook(member)) for member in get_args(kind)]

    def structure(value: Any, _: Any) -> Any:
        faults = []
        for member, hook in members:
            try:
                return hook(value, member)
            except Mismatch as fault:
                faults.append(fault)
        if len(members) == 2 and value is not None and members[1][0] is types.NoneType:  # an optional: say more
            raise faults[0]
        raise Mismatch(" or ".join(dict.fromkeys(fault.expected for fault in faults)), value)

    return structure


def _literal_hook(kind: Any) -> Hook:
    allowed = {(value.__class__, value) for value in get_args(kind)}

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ not in (str, int, bool, types.NoneType) or (value.__class__, value) not in allowed:
            raise Mismatch("one of the values the class allows", value)
        return value

    return structure


def _enum_hook(kind: type[Enum]) -> Hook:
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
                except ValueError:
                    pass
        raise Mismatch(f"a value of {kind.__name__}", value)

    return structure


def _array_hook(kind: Any) -> Hook:
    origin = get_origin(kind) or kind
    arguments: tuple[Any, ...] = get_args(kind) or (Any,)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        raise ConfigurationError("a tuple of fixed length cannot be read from JSON: write tuple[T, ...]")
    member = arguments[0]
    build = frozenset if origin is frozenset else set if origin is set else tuple if origin is tuple else list
    hook = _hook(member)

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is not list:
            raise Mismatch("a list", value)
        made: list[Any] = []
        try:
            for each in value:
                made.append(hook(each, member))  # noqa: PERF401 - its length tells where it broke
        except Mismatch as fault:
            raise fault.inside(f"[{len(made)}]") from None
        return made if build is list else build(made)

    return structure


def _mapping_hook(kind: Any) -> Hook:
    arguments = get_args(kind) or (str, Any)
    if arguments[0] not in (str, Any):
        raise ConfigurationError("the keys of a JSON object are text: write dict[str, T]")
    hook = _hook(arguments[1])

    def structure(value: Any, _: Any) -> Any:
        if value.__class__ is not dict:
            raise Mismatch("an object", value)
        try:
            return {key: hook(each, arguments[1]) for key, each in value.items()}
        except Mismatch as fault:
            raise fault.inside("[...]") from None  # a key may be a patient's name

    return structure


_ARRAYS = {list, tuple, set, frozenset, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable}
_MAPPINGS = {dict, abc.Mapping, abc.MutableMapping}


def _is_array(kind: Any) -> bool:
    return (get_origin(kind) or kind) in _ARRAYS


def _is_mapping(kind: Any) -> bool:
    return (get_origin(kind) or kind) in _MAPPINGS


def _is_literal(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is Literal


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _refuse(kind: Any) -> Hook:
    name = getattr(kind, "__name__", None) or str(kind)
    raise ConfigurationError(f"the type {name} cannot be read from JSON strictly")


def _object_hook(model: type[Any]) -> Hook:
    decode_into = _Writer(model).write()

    def structure(value: Any, _: Any) -> Any:
        made: list[Any] = []
        decode_into([value], made)
        return made[0]

    return structure


# The last factory that takes a type serves it.
_converter.register_structure_hook_factory(lambda kind: True, _refuse)
_converter.register_structure_hook_factory(_is_array, _array_hook)
_converter.register_structure_hook_factory(_is_mapping, _mapping_hook)
_converter.register_structure_hook_factory(_is_union, _union_hook)
_converter.register_structure_hook_factory(_is_literal, _literal_hook)
_converter.register_structure_hook_factory(attrs.has, _object_hook)
_converter.register_structure_hook_factory(_is_enum, _enum_hook)
_converter.register_structure_hook_factory(lambda kind: kind in SCALARS, lambda kind: SCALARS[kind])
_converter.register_structure_hook_factory(lambda kind: kind in _PLAIN, _plain_hook)
_converter.register_structure_hook_factory(lambda kind: kind is None, lambda kind: _plain_hook(types.NoneType))
_converter.register_structure_hook_factory(lambda kind: kind in (Any, object), lambda kind: lambda value, _: value)


class _Writer:
    """Writes the function that turns a list of decoded JSON objects into objects of one attrs class.

    For `Doctor` it reads, in essence:

        def decode_into(values, made):
            for o in values:
                if o.__class__ is not dict: raise Mismatch("an object", o)
                try: v0 = o["name"]; v1 = o["profileImage"]
                except KeyError as missing: raise absent(missing) from None
                if v0.__class__ is not str: raise Mismatch("text", v0, "name")
                if v1.__class__ is not str and v1 is not None: raise Mismatch("text or null", v1, "profile_image")
                made.append(model(v0, v1))
    """

    def __init__(self, model: type[Any]) -> None:
        self._model = model
        problem = ""
        try:
            attrs.resolve_types(model, localns={model.__name__: model})
        except (NameError, TypeError, SyntaxError) as error:
            problem = f"{model.__name__}: its annotations cannot be resolved ({type(error).__name__})"
        if problem:
            raise ConfigurationError(f"{problem}: define the class and its types at the module's top level")
        self._fields = [attribute for attribute in attrs.fields(model) if attribute.init]
        self._names: dict[str, Any] = {"model": model, "Mismatch": Mismatch, "UNSET": attrs.NOTHING}

    def write(self) -> Callable[[list[Any], list[Any]], None]:
        """Return the function."""
        required = [i for i, attribute in enumerate(self._fields) if attribute.default is attrs.NOTHING]
        absent = {json_key(self._fields[i]): self._fields[i].name for i in required}
        self._names["absent"] = lambda missing: Mismatch("a value", attrs.NOTHING, absent[missing.args[0]])
        lines = ["def decode_into(values, made):", " append = made.append", " for o in values:"]
        lines += ["  if o.__class__ is not dict:", "   raise Mismatch('an object', o)"]
        if required:
            lines.append("  try:")
            lines += [f"   v{i} = o[{json_key(self._fields[i])!r}]" for i in required]
            lines += ["  except KeyError as missing:", "   raise absent(missing) from None"]
        for i, attribute in enumerate(self._fields):
            if i in required:
                lines += self._check(i, attribute, "  ")
            else:
                lines += [f"  v{i} = o.get({json_key(attribute)!r}, UNSET)", f"  if v{i} is not UNSET:"]
                lines += self._check(i, attribute, "   ") or ["   pass"]
        lines += self._build()
        exec(compile("\n".join(lines), f"<decoder of {self._model.__name__}>", "exec"), self._names)  # noqa: S102
        written: Callable[[list[Any], list[Any]], None] = self._names["decode_into"]
        return written

    def _check(self, i: int, attribute: attrs.Attribute[Any], indent: str) -> list[str]:
        kind: Any = attribute.type
        name = attribute.name
        if kind is None:
            raise ConfigurationError(f"{self._model.__name__}.{name} has no type")
        if kind in (Any, object):
            return []
        members = get_args(kind) if _is_union(kind) else (kind,)
        if all(member in _PLAIN for member in members):
            expected = " or ".join(_PLAIN[member] for member in members)
            tests = []
            for n, member in enumerate(members):
                self._names[f"t{i}_{n}"] = member
                tests.append(f"v{i}.__class__ is not t{i}_{n}")
            return [f"{indent}if {' and '.join(tests)}:", f"{indent} raise Mismatch({expected!r}, v{i}, {name!r})"]
        problem = ""
        try:
            self._names[f"h{i}"] = _hook(kind)
        except ConfigurationError as error:
            problem = str(error)
        if problem:
            raise ConfigurationError(f"{self._model.__name__}.{name}: {problem}")
        self._names[f"k{i}"] = kind
        return [
            f"{indent}try:",
            f"{indent} v{i} = h{i}(v{i}, k{i})",
            f"{indent}except Mismatch as fault:",
            f"{indent} raise fault.inside({name!r}) from None",
        ]

    def _build(self) -> list[str]:
        if _is_transparent(self._model, self._fields):
            # What the generated __init__ of such a class does, and nothing else, without its frame.
            self._names["new"] = object.__new__
            lines = ["  made_one = new(model)"]
            for i, attribute in enumerate(self._fields):
                self._names[f"s{i}"] = vars(_owner(self._model, attribute.name))[attribute.name].__set__
                lines.append(f"  s{i}(made_one, v{i})")
            return [*lines, "  append(made_one)"]
        arguments = ", ".join(
            f"{attribute.alias}=v{i}" if attribute.kw_only else f"v{i}"
            for i, attribute in enumerate(self._fields)
            if attribute.default is attrs.NOTHING
        )
        optional = [(i, a) for i, a in enumerate(self._fields) if a.default is not attrs.NOTHING]
        lines = ["  given = {}"] if optional else []
        for i, attribute in optional:
            lines += [f"  if v{i} is not UNSET:", f"   given[{attribute.alias!r}] = v{i}"]
        call = ", ".join(filter(None, [arguments, "**given" if optional else ""]))
        return [
            *lines,
            "  try:",
            f"   made_one = model({call})",
            "  except Exception:",
            "   made_one = UNSET",
            "  if made_one is UNSET:",
            "   raise Mismatch('what the class accepts', o)",
            "  append(made_one)",
        ]


def _owner(model: type[Any], name: str) -> type[Any]:
    return next(base for base in model.__mro__ if name in vars(base))


def _is_transparent(model: Any, fields: list[attrs.Attribute[Any]]) -> bool:
    """Tell whether making such an object is nothing but setting its slots."""
    if len(fields) != len(attrs.fields(model)) or not attrs.fields(model):
        return False
    for attribute in fields:
        plain = attribute.default is attrs.NOTHING and attribute.validator is None and attribute.converter is None
        if not plain or not hasattr(model, attribute.name):
            return False
        if not isinstance(vars(_owner(model, attribute.name))[attribute.name], types.MemberDescriptorType):
            return False
    hooked = any(hasattr(model, hook) for hook in ("__attrs_post_init__", "__attrs_pre_init__", "__attrs_init__"))
    code = getattr(model.__init__, "__code__", None)
    generated = code is not None and code.co_filename.startswith("<attrs generated")
    return generated and not hooked and model.__new__ is object.__new__ and not issubclass(model, BaseException)


class Decoder(Generic[T]):
    """Turns windows of decoded JSON values into objects of one class."""

    def __init__(self, model: type[T]) -> None:
        self._decode_into = _open_records(model) if issubclass(model, OpenRecord) else _Writer(model).write()
        self._known = (
            None if issubclass(model, OpenRecord) else frozenset(map(json_key, attrs.fields(model)))  # type: ignore[arg-type]
        )

    def decode(self, values: list[Any], first_index: int) -> list[T]:
        """Return an object for each value. Raises DecodeError at the first that is not what the class says."""
        made: list[T] = []
        try:
            self._decode_into(values, made)
        except Mismatch as fault:
            error = fault.error(first_index + len(made))
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
            except Mismatch as fault:
                done += len(made) - before
                errors.append(fault.error(first_index + done))
                done += 1
            else:
                break
        return made

    def unknown_fields(self, values: list[Any]) -> Iterator[str]:
        """Yield the keys of these records that the class does not know; none for an OpenRecord."""
        if self._known is not None:
            for value in values:
                if value.__class__ is dict:
                    yield from value.keys() - self._known


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
