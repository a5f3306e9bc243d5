"""The forms in which `to_dict` writes dates, times and decimals: `YYYY-MM-DDThh:mm:ss.sssZ` and so on (`metadata={"json_form": ...}`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, cast, get_args

import attrs

from ..errors import ConfigurationError
from .fields import bare
from .scalars import NaiveDatetime, is_decimal

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["NUMBER", "SEPARATOR", "Form", "check_form", "form_of_field"]

_FORM = re.compile(
    r"(?P<day>YYYY-MM-DD|YYYYMMDD)?(?P<between>[Tt ])?(?P<clock>hh:mm:ss|hh:mm|hhmmss|hhmm)?"
    r"(?P<fraction>[.,]s{1,9})?(?P<offset>Z|\+hh:mm|\+hhmm|\+hh)?"
)
_MOST_LETTERS, _SIX = 40, 6
#: What stands between forms, and the form of a decimal that is written as a number.
SEPARATOR, NUMBER = " | ", "number"


class Form:
    """The form of a field, as it was spelled, or several, of which the first that can hold a value is written.

    Raises ConfigurationError if it is none.
    """

    def __init__(self, text: object) -> None:
        spelled = text.split(SEPARATOR) if isinstance(text, str) else [""]
        found = [_parts(_FORM.fullmatch(each)) for each in spelled if each != NUMBER]
        self._number = NUMBER in spelled
        self.clocks = [Clock(parts) for parts in found if parts is not None]
        if len(self.clocks) < len(found):
            shown = repr(text)[:_MOST_LETTERS] if isinstance(text, str) else f"a {type(text).__name__}"
            raise ConfigurationError(
                f"json_form must be a form such as 'YYYY-MM-DDThh:mm:ss.sssZ', 'YYYYMMDD' or 'hh:mm', not {shown}"
            )

    def fits(self, kind: Any) -> bool:
        """Return whether values of a type can have this form, or one of these."""
        return (self._number and is_decimal(kind)) or any(each.fits(kind) for each in self.clocks)

    def write(self, value: date | time) -> str:
        """Return a date or time in the first form that can hold all of it, or in the default one."""
        return next((made for each in self.clocks if (made := each.write(value)) is not None), value.isoformat())

    def write_decimal(self, value: Decimal) -> float | str:
        """Return a decimal as a number, or as text: where that is not the form, and where a number cannot hold all of it."""
        if not self._number or not value.is_finite():
            return str(value)
        if value.as_tuple().exponent == 0 and not (value.is_zero() and value.is_signed()):
            return int(value)
        number = float(value)
        return number if value == type(value)(repr(number)) else str(value)


class Clock:
    """A form for dates, for times, or for both, by its parts."""

    def __init__(self, parts: dict[str, str | None]) -> None:
        self.day, self.clock, self.offset = parts["day"], parts["clock"], parts["offset"]
        self._between = parts["between"] or ""
        self._fraction = parts["fraction"] or ""

    def fits(self, kind: Any) -> bool:
        """Return whether values of a type can have this form."""
        if kind is date:
            return self.clock is None
        if kind is time:
            return self.clock is not None and self.day is None
        moment = kind in (datetime, NaiveDatetime) and self.day is not None and self.clock is not None
        return moment and (self.offset is not None) is (kind is datetime)

    def write(self, value: date | time) -> str | None:
        """Return a value in this form, None where it cannot hold all of it."""
        day = value if isinstance(value, date) else None
        clock = value if isinstance(value, (datetime, time)) else None
        if (day is None) is not (self.day is None) or (clock is None) is not (self.clock is None):
            return None
        text = "" if day is None or self.day is None else _digits(self.day, day)
        if clock is None or self.clock is None:
            return text
        offset = self._offset(clock.utcoffset())
        fraction = self._of_second(clock.microsecond)
        if offset is None or fraction is None or (clock.second and "ss" not in self.clock):
            return None
        return f"{text}{self._between}{_digits(self.clock, clock)}{fraction}{offset}"

    def _of_second(self, microsecond: int) -> str | None:
        digits = f"{microsecond:06d}000"
        count = max(len(self._fraction) - 1, 0)
        return None if digits[count:].strip("0") else self._fraction[:1] + digits[:count]

    def _offset(self, offset: timedelta | None) -> str | None:
        if self.offset is None:
            return "" if offset is None else None
        if offset is None:
            return None
        if self.offset == "Z":
            return None if offset else "Z"
        minutes, rest = divmod(abs(offset), timedelta(minutes=1))
        if rest or (self.offset == "+hh" and minutes % 60):
            return None
        sign = "-" if offset < timedelta(0) else "+"
        hours = f"{sign}{minutes // 60:02d}"
        return hours if self.offset == "+hh" else f"{hours}{self.offset[3:-2]}{minutes % 60:02d}"


def _digits(form: str, value: Any) -> str:
    for letters, name in (
        ("YYYY", "year"),
        ("MM", "month"),
        ("DD", "day"),
        ("hh", "hour"),
        ("mm", "minute"),
        ("ss", "second"),
    ):
        if letters in form:
            form = form.replace(letters, f"{getattr(value, name):0{len(letters)}d}")
    return form


def _parts(found: re.Match[str] | None) -> dict[str, str | None] | None:
    """Return the parts of a form: a date, a time, or both with something between them."""
    if found is None:
        return None
    parts = cast("dict[str, str | None]", found.groupdict())
    day, clock = parts["day"], parts["clock"]
    if clock is None and (parts["between"] or parts["fraction"] or parts["offset"] or day is None):
        return None
    if (parts["between"] is None) is (day is not None and clock is not None):
        return None
    has_seconds = len((clock or "").replace(":", "")) == _SIX
    return None if parts["fraction"] and not has_seconds else parts


def form_of_field(attribute: attrs.Attribute[Any], model: type[Any]) -> Form | None:
    """Return the form that a field's metadata set. Raises ConfigurationError, which names class and field, if it is none."""
    problem = ""
    try:
        return Form(attribute.metadata["json_form"]) if "json_form" in attribute.metadata else None
    except ConfigurationError as error:
        problem = str(error)
    raise ConfigurationError(f"{model.__name__}.{attribute.name}: {problem}")


def check_form(attribute: attrs.Attribute[Any], kind: Any, model: type[Any]) -> None:
    """Raise ConfigurationError if a field's form is none, or if no value of its type can have it."""
    form = form_of_field(attribute, model)
    if form is None or any(form.fits(each) for each in _scalars(kind)):
        return
    text = attribute.metadata["json_form"]
    problem = f"no value of its type can have the json_form {text!r}"
    if any(each.day and each.clock for each in form.clocks):
        problem += " (the form of a datetime has an offset, that of a NaiveDatetime none)"
    raise ConfigurationError(f"{model.__name__}.{attribute.name}: {problem}")


def _scalars(kind: Any) -> Iterator[Any]:
    """Yield the types in a type, but not those in the classes in it."""
    kind = bare(kind)
    arguments = get_args(kind)
    if not arguments:
        yield kind
    for each in arguments:
        yield from _scalars(each)
