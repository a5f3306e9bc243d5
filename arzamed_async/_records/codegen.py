"""Compiles, for one attrs class, a function that builds its objects from JSON: a record costs little more than its checks."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast, get_args, get_origin

import attrs

from ..errors import ConfigurationError
from .fields import UNIONS, container, json_fields
from .hooks import EXACT_TYPES, Hook, HookOf
from .scalars import Mismatch

__all__ = ["DecoderCompiler"]

#: An error shows no more of a type.
LONGEST_TYPE = 100


class DecoderCompiler:
    """Compiles the functions that turn decoded JSON objects into objects of one attrs class.

    For `Doctor` the function is, in essence:

        def decode_into(values, made):
            for o in values:
                if o.__class__ is not dict: raise Mismatch("an object", o)
                try: v0 = o["name"]; v1 = o["profileImage"]
                except KeyError as missing: raise absent(missing) from None
                if v0.__class__ is not str: raise Mismatch("text", v0, "name")
                if v1.__class__ is not str and v1 is not None: raise Mismatch("text or null", v1, "profile_image")
                made.append(model(v0, v1))

    Raises ConfigurationError, which names the class and the field, if a field cannot be read strictly.
    """

    def __init__(self, model: Any, hook_of: HookOf) -> None:
        self._model: type[Any] = container(model)
        self._hook_of = hook_of
        fields = json_fields(model)
        for _, attribute, kind in fields:
            if "json_form" in attribute.metadata:
                from .forms import check_form

                check_form(attribute, kind, self._model)
        self._keys = [key for key, _, _ in fields]
        self._fields = [attribute for _, attribute, _ in fields]
        self._types = [kind for _, _, kind in fields]
        self._own_init = not _is_generated(self._model.__init__)
        self._names: dict[str, Any] = {"model": self._model, "Mismatch": Mismatch, "UNSET": attrs.NOTHING}

    def compile(self) -> Callable[[Iterable[Any], list[Any]], None]:
        """Return the function for a list of records: it appends an object for each value, and stops at the first bad one."""
        body = (f"  {line}" for line in self._body())
        head = ["def decode_into(values, made):", " append = made.append", " for o in values:"]
        return cast("Callable[[Iterable[Any], list[Any]], None]", self._compiled([*head, *body, "  append(made_one)"]))

    def compile_one(self) -> Hook:
        """Return the function for a single record that is nested in another record."""
        body = (f" {line}" for line in self._body())
        return cast("Hook", self._compiled(["def decode_one(o, _):", *body, " return made_one"]))

    def _compiled(self, lines: list[str]) -> Any:
        # The text is made of names in the class's source alone; nothing that was received is in it.
        exec(compile("\n".join(lines), f"<decoder of {self._model.__name__}>", "exec"), self._names)  # noqa: S102  # nosec B102
        return self._names[lines[0].removeprefix("def ").partition("(")[0]]

    def _body(self) -> list[str]:
        required = [i for i, attribute in enumerate(self._fields) if attribute.default is attrs.NOTHING]
        absent = {self._keys[i]: self._fields[i].name for i in required}

        def absent_field(missing: KeyError) -> Mismatch:
            return Mismatch("a value", attrs.NOTHING, absent[missing.args[0]])

        self._names["absent"] = absent_field
        lines = ["if o.__class__ is not dict:", " raise Mismatch('an object', o)"]
        if required:
            lines.append("try:")
            lines += [f" v{i} = o[{self._keys[i]!r}]" for i in required]
            lines += ["except KeyError as missing:", " raise absent(missing) from None"]
        for i, attribute in enumerate(self._fields):
            check = self._check(i, attribute.name)
            if i not in required:
                lines += [f"v{i} = o.get({self._keys[i]!r}, UNSET)", f"if v{i} is not UNSET:"]
                check = [f" {line}" for line in check or ["pass"]] + self._default(i, attribute)
            lines += check
        return lines + (self._set_slots() if self._is_transparent() else self._call())

    def _check(self, i: int, name: str) -> list[str]:
        kind = self._types[i]
        if kind is None:
            raise ConfigurationError(f"{self._model.__name__}.{name} has no type")
        if kind in (Any, object):
            self._hook_of(kind)  # which notes that there is such a field
            return []
        members = get_args(kind) if get_origin(kind) in UNIONS else (kind,)
        if all(member in EXACT_TYPES for member in members):
            expected = " or ".join(EXACT_TYPES[member] for member in members)
            tests: list[str] = []
            for n, member in enumerate(members):
                self._names[f"t{i}_{n}"] = member
                tests.append(f"v{i}.__class__ is not t{i}_{n}")
            return [f"if {' and '.join(tests)}:", f" raise Mismatch({expected!r}, v{i}, {name!r})"]
        problem = ""
        try:
            self._names[f"h{i}"] = self._hook_of(kind)
        except ConfigurationError as error:
            problem = str(error)
        if problem:
            shown = _shown_type(kind)
            which = "" if shown in problem else f"{shown}: "
            raise ConfigurationError(f"{self._model.__name__}.{name}: {which}{problem}")
        self._names[f"k{i}"] = kind
        lines = ["try:", f" v{i} = h{i}(v{i}, k{i})"]
        lines += ["except Mismatch as fault:", f" raise fault.inside({name!r}) from None"]
        if types.NoneType in members:  # saves a call where it is null
            lines = [f"if v{i} is not None:", *(f" {line}" for line in lines)]
        return lines

    def _default(self, i: int, attribute: attrs.Attribute[Any]) -> list[str]:
        """Return the lines that set a missing field to its default: cheaper than leaving the argument out of the call."""
        if self._left_to_class(attribute):
            return []
        default: Any = attribute.default
        made = isinstance(default, cast("type[Any]", attrs.Factory))
        self._names[f"d{i}"] = default.factory if made else default
        if not made:
            return ["else:", f" v{i} = d{i}"]
        lines = ["else:", " try:", f"  v{i} = d{i}()", " except Exception:"]  # the class's own code
        return [*lines, f"  raise Mismatch('what the class accepts', UNSET, {attribute.name!r}) from None"]

    def _left_to_class(self, attribute: attrs.Attribute[Any]) -> bool:
        default: Any = attribute.default
        return default is not attrs.NOTHING and (self._own_init or getattr(default, "takes_self", False))

    def _set_slots(self) -> list[str]:
        # What the generated __init__ of such a class does, and nothing else, without its frame.
        self._names["new"] = object.__new__
        lines = ["made_one = new(model)"]
        for i, attribute in enumerate(self._fields):
            self._names[f"s{i}"] = _slot(self._model, attribute.name).__set__
            lines.append(f"s{i}(made_one, v{i})")
        return lines

    def _call(self) -> list[str]:
        given: list[str] = []
        positional: list[str] = []
        named: list[str] = []
        for i, attribute in enumerate(self._fields):
            if self._left_to_class(attribute):
                given += [f"if v{i} is not UNSET:", f" given[{attribute.alias!r}] = v{i}"]
            elif attribute.kw_only or self._own_init or given:
                named.append(f"{attribute.alias}=v{i}")
            else:
                positional.append(f"v{i}")
        values = "".join(f"v{i}, " for i in range(len(self._fields)))
        self._names["refused"] = self._refused
        call = ", ".join([*positional, *named, "**given"] if given else [*positional, *named])
        return [
            *(["given = {}", *given] if given else []),
            "try:",
            f" made_one = model({call})",
            "except Exception as refusal:",
            f" raise refused(type(refusal), o, ({values})) from None",
        ]

    def _refused(self, refusal: type[Exception], record: object, values: tuple[Any, ...]) -> Mismatch:
        """Return a Mismatch that names the field whose converter or validator failed: repeat what the class's __init__ does."""
        plain = all(not isinstance(_converter(each), attrs.Converter) for each in self._fields)
        repeatable = plain and not self._own_init and not hasattr(self._model, "__attrs_pre_init__")
        trial = object.__new__(self._model) if repeatable else None
        given = [(each, value) for each, value in zip(self._fields, values, strict=True) if value is not attrs.NOTHING]
        steps: list[Callable[[Any, Any], Any]] = [_convert, _validate]
        for step in steps if repeatable else ():
            for attribute, value in given:
                try:
                    step(trial, (attribute, value))
                except Exception as error:  # noqa: BLE001 - the class's own code
                    at_fault = attribute.name if type(error) is refusal else ""
                    return Mismatch("what the class accepts", value if at_fault else record, at_fault)
        return Mismatch("what the class accepts", record)

    def _is_transparent(self) -> bool:
        """Return whether building such an object does no more than set its slots."""
        model: Any = self._model
        fields = attrs.fields(model)
        plain = all(
            each.validator is None and each.converter is None and not self._left_to_class(each) for each in fields
        )
        slots = all(isinstance(_slot(model, each.name), types.MemberDescriptorType) for each in fields)
        hooks = ("__attrs_post_init__", "__attrs_pre_init__", "__attrs_init__", "_attrs_cached_hash")
        sets = model.__setattr__ is object.__setattr__ or model.__setattr__.__name__ == "_frozen_setattrs"
        makes = model.__new__ is object.__new__ and type(model) is type and not self._own_init
        all_there = 0 < len(fields) == len(self._fields)
        return all_there and plain and slots and sets and makes and not any(hasattr(model, hook) for hook in hooks)


def _shown_type(kind: Any) -> str:
    """Return a type as it may be written: the beginning of it, where it is long."""
    shown = kind.__name__ if isinstance(kind, (type, TypeVar)) and not get_args(kind) else str(kind)
    return shown if len(shown) <= LONGEST_TYPE else f"{shown[:LONGEST_TYPE]}..."


def _converter(attribute: attrs.Attribute[Any]) -> Any:
    return cast("Any", attribute).converter


def _convert(trial: Any, given: tuple[attrs.Attribute[Any], Any]) -> None:
    attribute, value = given
    convert = _converter(attribute)
    object.__setattr__(trial, attribute.name, value if convert is None else convert(value))


def _validate(trial: Any, given: tuple[attrs.Attribute[Any], Any]) -> None:
    attribute, _ = given
    if attribute.validator is not None:
        attribute.validator(trial, attribute, getattr(trial, attribute.name))


def _slot(model: type[Any], name: str) -> Any:
    return next((vars(base)[name] for base in model.__mro__ if name in vars(base)), None)


def _is_generated(init: Any) -> bool:
    code = getattr(init, "__code__", None)
    return code is not None and code.co_filename.startswith("<attrs generated")
