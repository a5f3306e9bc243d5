"""Writes, for one attrs class, the function that makes its objects: a record then costs little more than its checks."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin

import attrs

from ._scalars import Mismatch
from ._structures import PLAIN, HookOf
from .errors import ConfigurationError

__all__ = ["RecordWriter", "json_key"]


def json_key(attribute: attrs.Attribute[Any]) -> str:
    """Return the JSON key of an attribute: `profile_image` is `profileImage`."""
    key = attribute.metadata.get("json")
    if key is not None:
        return str(key)
    first, *rest = attribute.name.strip("_").split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


class RecordWriter:
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

    def __init__(self, model: type[Any], hook_of: HookOf) -> None:
        self._model = model
        self._hook_of = hook_of
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

        def absent_field(missing: KeyError) -> Mismatch:
            return Mismatch("a value", attrs.NOTHING, absent[missing.args[0]])

        self._names["absent"] = absent_field
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
        members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
        if all(member in PLAIN for member in members):
            expected = " or ".join(PLAIN[member] for member in members)
            tests: list[str] = []
            for n, member in enumerate(members):
                self._names[f"t{i}_{n}"] = member
                tests.append(f"v{i}.__class__ is not t{i}_{n}")
            return [f"{indent}if {' and '.join(tests)}:", f"{indent} raise Mismatch({expected!r}, v{i}, {name!r})"]
        problem = ""
        try:
            self._names[f"h{i}"] = self._hook_of(kind)
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
        start = ["  given = {}"] if optional else []
        for i, attribute in optional:
            start += [f"  if v{i} is not UNSET:", f"   given[{attribute.alias!r}] = v{i}"]
        call = ", ".join(filter(None, [arguments, "**given" if optional else ""]))
        return [
            *start,
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


def _is_transparent(model: Any, fields: list[Any]) -> bool:
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
