"""Invents values that nobody takes for real ones: each is a function of a random generator and of how deep it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from uuid import UUID

from .schema import Choice, Field, Kind, Kinds, MapOf, ObjectOf, Scalar

__all__ = ["DEEP", "SCALAR_MAKERS", "Make", "array", "makes_object", "mapping", "of_object", "one_of", "text_of"]

#: Invents one value, as plain JSON. The number is how many objects and arrays are around it.
Make = Callable[[Random, int], Any]

#: Below this, arrays are empty, and what may be missing is: a class may hold itself.
DEEP = 4
#: Of three records, one lacks what may be missing.
_ONE_IN = 3
_MOST_ITEMS = 3
_OFFSETS = {"Z": "Z", "+hh:mm": "+01:00", "+hhmm": "+0100", "+hh": "+01"}
_FORM = re.compile(r"(?P<date>YYYY-MM-DD|YYYYMMDD)?(?P<between>[Tt ])?(?P<time>hh[^Z+]*)?(?P<offset>Z|\+hh:?m?m?)?")
_TOKENS = re.compile(r"YYYY|MM|DD|hh|mm|ss(?![s])|[.,]s+")
_DEFAULT_FORMS = {
    "date": "YYYY-MM-DD",
    "time": "hh:mm:ss",
    "datetime": "YYYY-MM-DDThh:mm:ss+hh:mm",
    "NaiveDatetime": "YYYY-MM-DDThh:mm:ss",
}


def _moment(form: str) -> Make:
    parts = _FORM.fullmatch(form)
    assert parts is not None, form
    written = "".join(parts[each] or "" for each in ("date", "between", "time"))
    offset = _OFFSETS[parts["offset"]] if parts["offset"] else ""

    def make(rng: Random, _: int) -> str:
        values = {
            "YYYY": f"{rng.randint(2030, 2039)}",
            "MM": f"{rng.randint(1, 12):02}",
            "DD": f"{rng.randint(1, 28):02}",
            "hh": f"{rng.randint(7, 19):02}",
            "mm": f"{rng.randrange(0, 60, 5):02}",
            "ss": f"{rng.randint(1, 59):02}",
        }

        def value(token: re.Match[str]) -> str:
            return values.get(token[0]) or f"{token[0][0]}{'5'.ljust(len(token[0]) - 1, '0')}"

        return _TOKENS.sub(value, written) + offset

    return make


def _kind_of(form: str) -> str:
    parts = _FORM.fullmatch(form)
    if parts is None or parts["date"] is None:
        return "time"
    if parts["time"] is None:
        return "date"
    return "datetime" if parts["offset"] else "NaiveDatetime"


def _uuid(rng: Random, _: int) -> str:
    return str(UUID(int=rng.getrandbits(40) | 1 << 76 | 1 << 63))  # 00000000-0000-1000-8000-...: no generator makes it


SCALAR_MAKERS: dict[str, Make] = {
    "bool": lambda rng, _: rng.random() < 0.5,
    "int": lambda rng, _: rng.randint(1, 999),
    "float": lambda rng, _: rng.randint(0, 99) + 0.5,
    "Decimal": lambda rng, _: rng.randint(0, 99) + 0.25,
    "UUID": _uuid,
    **{name: _moment(form) for name, form in _DEFAULT_FORMS.items()},
}


def text_of(key: str) -> Make:
    """Return what invents a text for a field: its name is in it."""
    words = " ".join(re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key)))
    return lambda rng, _: f"invented {words.lower()[:40] or 'text'} {rng.randint(1, 10 ** rng.randint(1, 3) - 1)}"


def one_of(makers: Sequence[Make]) -> Make:
    """Return what invents a value in one of several ways; the first of them deep inside."""
    if len(makers) == 1:
        return makers[0]
    return lambda rng, depth: (makers[0] if depth > DEEP else rng.choice(makers))(rng, depth)


def array(item: Make) -> Make:
    """Return what invents a JSON array of such items."""
    return lambda rng, depth: [item(rng, depth + 1) for _ in range(0 if depth > DEEP else rng.randint(0, _MOST_ITEMS))]


def mapping(item: Make) -> Make:
    """Return what invents a JSON object that is keyed by identifiers."""

    def make(rng: Random, depth: int) -> dict[str, Any]:
        count = 0 if depth > DEEP else rng.randint(1, _MOST_ITEMS)
        return {str(900_000 + rng.randrange(99_999)): item(rng, depth + 1) for _ in range(count)}

    return make


def makes_object(fields: Sequence[tuple[str, Make, bool]]) -> Make:
    """Return what invents a JSON object: each field is its key, its value, and whether it may be missing."""

    def make(rng: Random, depth: int) -> dict[str, Any]:
        return {
            key: value(rng, depth + 1)
            for key, value, may_be_missing in fields
            if not (may_be_missing and (depth > DEEP or rng.randrange(_ONE_IN) == 0))
        }

    return make


def of_object(schema: ObjectOf) -> Make:
    """Return what invents an object that an inferred model describes."""
    return makes_object([(each.key, _of_field(each), each.seen < each.of) for each in schema.fields])


def _of_field(field: Field) -> Make:
    return _of_kinds(field.kinds, field.key, field.form)


def _of_kinds(kinds: Kinds, key: str, form: str | None) -> Make:
    makers: list[Make] = [lambda _rng, _depth: None] if kinds.null or not kinds.kinds else []
    return one_of([*makers, *[_of_kind(kind, key, form) for kind in kinds.kinds]])


def _of_kind(kind: Kind, key: str, form: str | None) -> Make:
    if isinstance(kind, Scalar):
        in_form = form is not None and _kind_of(form) == kind.name
        return _moment(str(form)) if in_form else SCALAR_MAKERS.get(kind.name) or text_of(key)
    if isinstance(kind, Choice):
        values = kind.values
        return lambda rng, _: rng.choice(values)
    if isinstance(kind, ObjectOf):
        return of_object(kind)
    if isinstance(kind, MapOf):
        return mapping(_of_kinds(kind.item, key, form))
    item = array(_of_kinds(kind.item, key, form))
    empty = not kind.item.kinds and not kind.item.null
    return (lambda _rng, _depth: []) if empty else item
