"""How single JSON values are read as Python types, strictly: a value that does not fit is a Mismatch, never bent."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from ..errors import DecodeError

__all__ = ["SCALARS", "Mismatch"]

_KINDS: dict[type[Any], str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "an object",
}
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Mismatch(Exception):  # noqa: N818 - it never leaves the decoder: a DecodeError does
    """A value is not what a class says. Made of kinds and names: it never holds the value."""

    def __init__(self, expected: str, value: Any, field: str = "") -> None:
        super().__init__()
        self.expected = expected
        self.found: str = _KINDS.get(value.__class__, "none")
        self.field = field

    def inside(self, name: str) -> Mismatch:
        """Return the same, seen from the field (or `[index]`) that holds it."""
        joined = name + self.field if self.field.startswith("[") else f"{name}.{self.field}"
        self.field = joined if self.field else name
        return self.with_traceback(None)

    def error(self, record_index: int) -> DecodeError:
        """Return the DecodeError for it."""
        return DecodeError(
            f"expected {self.expected}, found {self.found}", record_index=record_index, field=self.field or None
        )


#: So many digits a float gives back as they were written.
FLOAT_DIGITS = 15
_DATE_AND_TIME = re.compile(r"[0-9W-]{7,10}[Tt ]")  # fromisoformat takes any character between the two
_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _float(value: Any, _: object) -> float:
    """JSON has one kind of number: `1` is a float too. One that is too large for a float is none."""
    if value.__class__ is float:
        return float(value)
    if value.__class__ is int and abs(value) < 1 << 1023:
        return float(value)
    raise Mismatch("a number", value)


def _datetime(value: Any, _: object) -> datetime:
    """ISO 8601 with an offset: without one it would be anybody's guess which moment is meant."""
    if value.__class__ is str and _DATE_AND_TIME.match(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if moment.tzinfo is not None:
                return moment
    raise Mismatch("a date and time with offset (ISO 8601)", value)


def _from_text(make: Callable[[str], Any], expected: str) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: object) -> Any:
        if value.__class__ is str:
            try:
                return make(value)
            except ValueError:
                pass
        raise Mismatch(expected, value)

    return structure


def _decimal(value: Any, _: object) -> Decimal:
    """From text, or from a number as long as it is certain to be the one that was written."""
    if value.__class__ is int:
        return Decimal(value)
    if value.__class__ is float:
        number = Decimal(repr(value))
        if len(number.as_tuple().digits) <= FLOAT_DIGITS and abs(value) < 1 << 53:
            return number
        raise Mismatch(f"a decimal number, as text where it has more than {FLOAT_DIGITS} digits", value)
    if value.__class__ is str and _DECIMAL.fullmatch(value):
        try:
            number = Decimal(value)
        except InvalidOperation:  # an exponent beyond what a Decimal holds
            pass
        else:
            if number.is_finite():  # the same, where the context does not trap it
                return number
    raise Mismatch("a decimal number", value)


def _uuid(text: str) -> UUID:
    if _UUID.fullmatch(text) is None:  # UUID() takes signs, digits of any script, hyphens anywhere
        raise ValueError
    return UUID(text)


SCALARS: dict[Any, Callable[[Any, Any], Any]] = {
    float: _float,
    datetime: _datetime,
    date: _from_text(date.fromisoformat, "a date (ISO 8601)"),
    time: _from_text(time.fromisoformat, "a time (ISO 8601)"),
    Decimal: _decimal,
    UUID: _from_text(_uuid, "a UUID"),
}
