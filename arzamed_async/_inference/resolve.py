"""Decides from what was observed what the records are."""

from __future__ import annotations

from .._records.forms import NUMBER, SEPARATOR
from .bounds import MOST_DEPTH
from .forms import chosen_form
from .numbers import BIG, NOT_MILLISECONDS, NOT_SECONDS
from .observed import Objects, Place
from .schema import Choice, Field, Kind, Kinds, ListOf, MapOf, Model, ObjectOf, Scalar, sorted_kinds

__all__ = ["resolved"]

_EPOCH = {
    NOT_SECONDS: "whole numbers that may be seconds since 1970",
    NOT_MILLISECONDS: "whole numbers that may be milliseconds since 1970",
}
_SEVERAL_FORMS = "dates or times in several forms, of which `to_dict` writes one, since their values do not show which"
_DEEP = f"nested more than {MOST_DEPTH} deep"
_UNNAMED = "keys that are identifiers, not names, are left out"


def resolved(records: Objects, *, name: str, path: str | None, personal: bool, decimals: bool) -> Model:
    """Return the model of the records."""
    object_of = _Resolver(decimals=decimals).object_of(records)
    notes = (_UNNAMED,) if records.unnamed else ()
    return Model(name, path, personal, records.count, object_of, notes)


class _Resolver:
    def __init__(self, *, decimals: bool) -> None:
        self._decimals = decimals

    def object_of(self, objects: Objects) -> ObjectOf:
        fields = sorted(objects.fields.items(), key=lambda each: (-each[1].seen, each[0]))
        return ObjectOf(tuple(self._field(key, place, objects.count) for key, place in fields))

    def _field(self, key: str, place: Place, count: int) -> Field:
        about = _About()
        kinds = self._kinds(place, about)
        form, comes_back = chosen_form(about.forms)
        if not comes_back or about.many_forms:
            form = None
            about.notes.add(_SEVERAL_FORMS)
        if about.decimals:
            form = NUMBER if form is None else f"{NUMBER}{SEPARATOR}{form}"
        return Field(key, kinds, place.seen, count, place.nulls, form, tuple(sorted(about.notes)))

    def _kinds(self, place: Place, about: _About) -> Kinds:
        """Return what stands at a place."""
        if place.deep:
            about.notes.add(_DEEP)
            return Kinds((Scalar("Any"),))
        kinds: list[Kind] = [*self._numbers(place, about), *_texts(place, about)]
        if place.bools:
            kinds.append(Scalar("bool"))
        if place.lists:
            kinds.append(ListOf(Kinds(()) if place.items is None else self._kinds(place.items, about)))
        objects = place.objects
        if objects is not None:
            is_map = objects.is_map()
            kinds.append(MapOf(self._kinds(objects.all_values(), about)) if is_map else self.object_of(objects))
        return Kinds(sorted_kinds(kinds), place.nulls > 0)

    def _numbers(self, place: Place, about: _About) -> list[Kind]:
        if not place.floats:
            about.notes.update(note for flag, note in _EPOCH.items() if place.ints and not place.flags & flag)
            return [Scalar("int")] if place.ints else []
        if self._decimals:
            about.decimals = True
            return [Scalar("Decimal")]
        return [Scalar("int"), Scalar("float")] if place.flags & BIG else [Scalar("float")]


class _About:
    """What was found at the places of one field, those in its lists and maps included."""

    def __init__(self) -> None:
        self.notes: set[str] = set()
        self.forms: dict[str, int] = {}
        self.many_forms = False
        self.decimals = False


def _texts(place: Place, about: _About) -> list[Kind]:
    text = place.text
    if text is None:
        return []
    if values := text.values():
        return [Choice(values)]
    if text.plain:
        return [Scalar("str")]
    about.many_forms |= text.forms is None
    for form, flags in (text.forms or {}).items():
        if form != "UUID":
            about.forms[form] = about.forms.get(form, 0) | flags
    return [Scalar(kind) for kind in text.kinds]
