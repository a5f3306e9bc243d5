"""The forms in which `to_dict` writes dates and times: `YYYY-MM-DDThh:mm:ss.sssZ` and so on (`metadata={"json_form": ...}`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, cast, get_args

import attrs

from ..errors import ConfigurationError
from .fields import bare
from .scalars import NaiveDatetime

__all__ = ["Form", "check_form", "form_of_field"]

_FORM = re.compile(
    r"(?P<day>YYYY-MM-DD|YYYYMMDD)?(?P<between>[Tt ])?(?P<clock>hh:mm:ss|hh:mm|hhmmss|hhmm)?"
    r"(?P<fraction>[.,]s{1,9})?(?P<offset>Z|\+hh:mm|\+hhmm|\+hh)?"
)
_MOST_LETTERS, _SIX = 40, 6


class Form:
    """A form for dates, for times, or for both, as it was spelled. Raises ConfigurationError if it is none."""

    def __init__(self, text: object) -> None:
        parts = _parts(_FORM.fullmatch(text)) if isinstance(text, str) else None
        if parts is None:
            shown = repr(text)[:_MOST_LETTERS] if isinstance(text, str) else f"a {type(text).__name__}"
            raise ConfigurationError(
                f"json_form must be a form such as 'YYYY-MM-DDThh:mm:ss.sssZ', 'YYYYMMDD' or 'hh:mm', not {shown}"
            )
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

    def write(self, value: date | time) -> str:
        """Return a value in this form, or in the default one where this cannot hold all of it."""
        day = value if isinstance(value, date) else None
        clock = value if isinstance(value, (datetime, time)) else None
        made = self._written(day, clock)
        return value.isoformat() if made is None else made

    def _written(self, day: date | None, clock: datetime | time | None) -> str | None:
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
    if form.day and form.clock:
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
