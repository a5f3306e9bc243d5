"""Describes values by their kind, for reports: never by what they are."""

from __future__ import annotations

from typing import Any

from .forms import form_named
from .observed import Place
from .texts import UUID, text_kinds

__all__ = ["JSON_NAMES", "TEXT_NAMES", "described_place", "described_text"]

JSON_NAMES: dict[type[Any], str] = {
    str: "text", int: "a whole number", float: "a number with a fraction", bool: "true or false",
    list: "a list", dict: "an object", type(None): "null",
}  # fmt: skip
TEXT_NAMES = {
    "datetime": "a date and time with offset",
    "NaiveDatetime": "a date and time without offset",
    "date": "a date",
    "time": "a time",
    UUID: "a UUID",
}


def described_text(value: str) -> str:
    """Describe a text by its form."""
    kinds = text_kinds([value])
    if kinds is None:
        return JSON_NAMES[str]
    form = next(iter(kinds))
    return TEXT_NAMES[form if form == UUID else form_named(form).kind]


def described_place(place: Place) -> str:
    """Describe what was found at a place."""
    names = [
        *(JSON_NAMES[bool] for _ in range(place.bools > 0)),
        *(JSON_NAMES[float if place.floats else int] for _ in range(place.ints + place.floats > 0)),
    ]
    if place.text is not None:
        kinds = sorted(place.text.kinds)
        names += [JSON_NAMES[str]] if place.text.plain else [TEXT_NAMES[kind] for kind in kinds]
    counts: dict[type[Any], int] = {
        list: place.lists,
        dict: place.objects is not None or place.deep,
        type(None): place.nulls,
    }
    names += [JSON_NAMES[kind] for kind, count in counts.items() if count]
    return " or ".join(names)
