"""Reads single JSON values as Python types, strictly: a value that does not match raises Mismatch, and is never coerced."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, NewType
from uuid import UUID

from .._json import FLOAT_DIGITS
from ..errors import DecodeError
from .elements import BadElement

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["SCALAR_HOOKS", "WRITTEN", "Mismatch", "NaiveDatetime", "decimal_hook", "is_decimal"]

_KINDS: dict[type[Any], str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "an object",
}
_DECIMAL = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"


#: The type of a field with a date and time without an offset. A field of type `datetime` requires an offset.
NaiveDatetime = NewType("NaiveDatetime", datetime)


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern, compiled when it is first used: few classes have fields that need one."""
    return re.compile(text)


class Mismatch(Exception):  # noqa: N818 - it never leaves the decoder: a DecodeError does
    """A value does not match its type. It holds type names and field names, never the value."""

    def __init__(self, expected: str, value: Any, field: str = "", found: str = "") -> None:
        super().__init__()
        self.expected = expected
        self.found: str = found or _KINDS.get(value.__class__, "none")
        self.field = field
        self.instead: str = value.reason if value.__class__ is BadElement else ""

    def inside(self, name: str) -> Mismatch:
        """Return the same with `name`, the field (or `[index]`) that holds the value, put before its path."""
        joined = name + self.field if self.field.startswith("[") else f"{name}.{self.field}"
        self.field = joined if self.field else name
        return self.with_traceback(None)

    def error(self, record_index: int) -> DecodeError:
        """Return the DecodeError to raise to the user."""
        if self.instead:
            return DecodeError(self.instead, record_index=record_index)
        return DecodeError(
            f"expected {self.expected}, found {self.found}", record_index=record_index, field=self.field or None
        )


#: How the floats of the windows that are being decoded were written, by their id, where they were written with more.
WRITTEN: dict[int, str] = {}
_MOMENT = ("a date and time without offset (ISO 8601)", "a date and time with offset (ISO 8601)")
_DATE_AND_TIME = r"[0-9W-]{7,10}[Tt ]"  # fromisoformat accepts any separator
_UUID = r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def _float(value: Any, _: object) -> float:
    """Read a float; JSON has one kind of number, so `1` is one too. A number too large for a float is a Mismatch."""
    if value.__class__ is float:
        return float(value)
    if value.__class__ is int and abs(value) < 1 << 1023:
        return float(value)
    raise Mismatch("a number", value)


def _datetime(value: Any, _: object, *, aware: bool = True) -> datetime:
    """Read ISO 8601 with an offset: without one the moment is ambiguous, which a NaiveDatetime admits."""
    if value.__class__ is str and _pattern(_DATE_AND_TIME).match(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if (moment.tzinfo is not None) is aware:
                return moment
            raise Mismatch(_MOMENT[aware], value, found="one without offset" if aware else "one with offset")
    raise Mismatch(_MOMENT[aware], value)


def _from_text(make: Callable[[str], Any], expected: str) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: object) -> Any:
        if value.__class__ is str:
            try:
                return make(value)
            except ValueError:
                pass
        raise Mismatch(expected, value)

    return structure


def is_decimal(kind: object) -> bool:
    """Return whether a type is Decimal. Its module is not imported for it: few classes have such a field."""
    decimal = sys.modules.get("decimal")
    return decimal is not None and kind is decimal.Decimal


def decimal_hook(_kind: object) -> Callable[[Any, Any], Decimal]:
    """Return the function that reads a decimal from text, or from a number as it was written."""
    from decimal import Decimal, InvalidOperation

    def structure(value: Any, _: object) -> Decimal:
        if value.__class__ is int:
            return Decimal(value)
        if value.__class__ is float:
            number = Decimal(WRITTEN.get(id(value)) or repr(value))
            if id(value) in WRITTEN or (
                len(number.as_tuple().digits) <= FLOAT_DIGITS and not 0 < abs(value) < sys.float_info.min
            ):
                return number
            raise Mismatch(f"a decimal number, as text where it has more than {FLOAT_DIGITS} digits", value)
        if value.__class__ is str and _pattern(_DECIMAL).fullmatch(value):
            try:
                number = Decimal(value)
            except InvalidOperation:  # an exponent beyond what a Decimal holds
                pass
            else:
                if number.is_finite():  # where the context does not trap such an exponent
                    return number
        raise Mismatch("a decimal number", value)

    return structure


def _uuid(text: str) -> UUID:
    if _pattern(_UUID).fullmatch(text) is None:  # UUID() accepts signs, digits of any script, hyphens anywhere
        raise ValueError
    return UUID(text)


SCALAR_HOOKS: dict[Any, Callable[[Any, Any], Any]] = {
    float: _float,
    datetime: _datetime,
    NaiveDatetime: functools.partial(_datetime, aware=False),
    date: _from_text(date.fromisoformat, "a date (ISO 8601)"),
    time: _from_text(time.fromisoformat, "a time (ISO 8601)"),
    UUID: _from_text(_uuid, "a UUID"),
}
