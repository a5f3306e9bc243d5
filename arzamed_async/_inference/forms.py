"""The forms in which dates and times are written, and which one `to_dict` has to write so that the same text comes back."""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time
from typing import Any

from .._records.forms import SEPARATOR

__all__ = ["Form", "chosen_form", "form_named", "form_of"]

#: What a value of a form was, where another form could write it too. From _ZERO_DIGIT on: one bit for each digit, counted from the
#: last one, that is zero with those after it.
ZERO_SECONDS, ZERO_OFFSET, WHOLE_HOURS, _ZERO_DIGIT = 1, 2, 4, 8
#: The most forms between which `to_dict` chooses.
_MOST_CHOSEN = 4
#: Python's clocks have microseconds.
_DIGITS = 6
_LONGEST = 48
_MASK = (
    r"(?P<date>0000-00-00|00000000)?(?P<between>(?<=0)[Tt ])?"
    r"(?P<time>00:00(?::00(?P<fraction>[.,]0{1,9})?)?|0000(?:00(?P<digits>[.,]0{1,9})?)?)?"
    r"(?P<offset>Z|[+-]00(?::?00)?)?"
)
_DAYS = {"0000-00-00": "YYYY-MM-DD", "00000000": "YYYYMMDD"}
_CLOCKS = {"00:00": "hh:mm", "00:00:00": "hh:mm:ss", "0000": "hhmm", "000000": "hhmmss"}
_OFFSETS = {"+00:00": "+hh:mm", "+0000": "+hhmm", "+00": "+hh"}
_TO_MASK = str.maketrans("YMDhms", "000000")
#: The years of dates without hyphens: most numbers of eight digits are in none of these.
_CENTURIES = frozenset(("18", "19", "20", "21"))


class Form:
    """One form of dates, of times, or of both: what each digit of its texts stands for."""

    __slots__ = ("aware", "default", "end", "fraction", "hour_at", "kind", "offset", "point_at", "read", "seconds", "text", "width")  # fmt: skip

    def __init__(self, parts: re.Match[str]) -> None:
        day, clock = parts["date"] or "", parts["time"] or ""
        fraction = parts["fraction"] or parts["digits"] or ""
        self.offset = re.sub("[+-]", "+", parts["offset"] or "")
        self.aware = self.offset != ""
        self.kind = "date" if not clock else "time" if not day else "datetime" if self.aware else "NaiveDatetime"
        read: Any = date if not clock else time if not day else datetime
        self.read: Callable[[str], object] = read.fromisoformat
        self.width = len(parts[0])
        self.hour_at = parts.start("time")
        self.fraction = len(fraction[1:])
        self.point_at = parts.end("time") - len(fraction)
        whole = clock.removesuffix(fraction)
        self.seconds = _CLOCKS.get(whole, "").endswith("ss")
        #: How a second of zero, with a fraction of zero, ends.
        self.end = (":" if ":" in whole else "") + "00" + fraction
        self.text = (
            _DAYS.get(day, "")
            + (parts["between"] or "")
            + _CLOCKS.get(whole, "")
            + fraction.replace("0", "s")
            + _OFFSETS.get(self.offset, self.offset)
        )
        #: Whether `to_dict` writes this form where no other is set (one with a fraction: unless that is zero).
        self.default = (
            day in ("", "0000-00-00")
            and (parts["between"] or "T") == "T"
            and (not clock or len(whole) == 8)
            and (fraction == "" or (fraction[0] == "." and self.fraction == _DIGITS))
            and self.offset in ("", "+00:00")
        )

    def flags(self, texts: Collection[str], joined: str) -> int | None:
        """Return which values the texts have that other forms could write; None if one of them is no date or time.

        `joined` is the texts with a line break after each. A text that is not written again as it is, is none: a time of
        24:00, an offset of -00:00, and a fraction finer than microseconds.
        """
        try:
            deque(map(self.read, texts), maxlen=0)
        except ValueError:
            return None
        stride = self.width + 1
        if self.kind != "date" and "24" in set(map(str.__add__, joined[self.hour_at :: stride], joined[self.hour_at + 1 :: stride])):  # fmt: skip
            return None
        if self.text == "YYYYMMDD" and not {each[:2] for each in texts} <= _CENTURIES:
            return None
        if self.offset not in ("", "Z") and "-00" in joined:
            return None
        for digit in range(_DIGITS, self.fraction):
            if joined[self.point_at + 1 + digit :: stride].strip("0"):
                return None
        return self._flags(joined)

    def _flags(self, joined: str) -> int:
        found = self._zero_digits(joined)
        ends = ("+", "-") if self.offset not in ("", "Z") else (self.offset or "\n",)
        if self.seconds and any(self.end + each in joined for each in ends):
            found |= ZERO_SECONDS
        if self.aware and (self.offset == "Z" or "+00" in joined):
            found |= ZERO_OFFSET
        if self.aware and (self.offset in ("Z", "+00") or "00\n" in joined):
            found |= WHOLE_HOURS
        return found

    def _zero_digits(self, joined: str) -> int:
        """Return a flag for each number of digits that are zero at the end of some text's fraction."""
        found, digits, last = 0, list[str](), self.point_at + self.fraction
        for place in range(self.fraction):
            digits.append(joined[last - place :: self.width + 1])
            if ("0",) * len(digits) not in zip(*digits, strict=False):
                break
            found |= _ZERO_DIGIT << place
        return found

    def is_default(self, flags: int) -> bool:
        """Return whether `to_dict` writes values with these flags in this form where no other is set."""
        return self.default and not (self.fraction and flags & (_ZERO_DIGIT << (self.fraction - 1)))

    def may_hold(self, other: Form, flags: int) -> bool:
        """Return whether this form can write one of the values of another form, of which the flags are known."""
        if (self.kind, self.aware) != (other.kind, other.aware):
            return False
        if other.seconds and not self.seconds and not flags & ZERO_SECONDS:
            return False
        if self.seconds and self.fraction < other.fraction:
            more = other.fraction - self.fraction
            if not flags & (_ZERO_DIGIT << (more - 1)):
                return False
        if self.offset == "Z":
            return bool(flags & ZERO_OFFSET)
        return self.offset != "+00" or bool(flags & WHOLE_HOURS)


@functools.lru_cache(maxsize=256)
def form_of(mask: str) -> Form | None:
    """Return the form of a text whose digits are all 0; None if it is none of a date or time."""
    parts = re.fullmatch(_MASK, mask) if len(mask) <= _LONGEST else None
    if parts is None or not (parts["date"] or parts["time"]):
        return None
    day, between, clock, offset = parts["date"], parts["between"], parts["time"], parts["offset"]
    if (between is None) != (day is None or clock is None) or (offset is not None and clock is None):
        return None
    if day is None and clock is not None and ":" not in clock:
        return None  # four or six digits: a year, a number
    return Form(parts)


def form_named(text: str) -> Form:
    """Return the form whose `text` this is."""
    form = form_of(text.translate(_TO_MASK))
    assert form is not None, text
    return form


def chosen_form(seen: Mapping[str, int]) -> tuple[str | None, bool]:
    """Return the form that `to_dict` has to write, None for its own, and whether all texts come back as they were.

    `seen` are the forms of the texts, each with its flags. Of several forms (`A | B`) the first that can hold a value is written,
    and the default one after them: so none of them may hold a value of a later one.
    """
    left = {form_named(text): flags for text, flags in sorted(seen.items())}
    chosen: list[tuple[Form, bool]] = []
    while left:
        free = [form for form in left if not any(form is not each and form.may_hold(each, left[each]) for each in left)]
        if not free:
            return None, False
        form = min(
            free, key=lambda each: each.is_default(left[each])
        )  # a default one needs not be set, if it comes last
        chosen.append((form, form.is_default(left.pop(form))))
    while chosen and chosen[-1][1]:
        chosen.pop()
    if len(chosen) > _MOST_CHOSEN:
        return None, False
    return SEPARATOR.join(form.text for form, _ in chosen) or None, True
