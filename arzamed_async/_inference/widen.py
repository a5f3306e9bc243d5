"""Widens the classes of a module, so that they read the records of a model, too. Types get wider, never narrower."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from attrs import evolve

from .._records.forms import NUMBER, SEPARATOR, Form
from .._records.scalars import NaiveDatetime
from ..errors import ConfigurationError
from .existing import Found, FoundField, Module
from .naming import class_name, field_names
from .plan import ClassPlan, FieldPlan, Kept, Listed, Mapped, Member, Nested, OneOf, Plain, Union, union_of
from .schema import Choice, Field, Kind, Kinds, ListOf, MapOf, ObjectOf, Scalar

__all__ = ["Widener"]

#: The kinds that are text in JSON, apart from text itself.
_TEXTS = ("date", "datetime", "NaiveDatetime", "time", "UUID")
_DATES = ("date", "datetime", "NaiveDatetime")
#: What else the values of a type may be.
_ALSO = {"str": _TEXTS, "float": ("int",), "Decimal": ("int", "float")}
_ANY = Plain("Any")
#: The types that have forms.
_TYPES: dict[str, Any] = {
    "date": date, "time": time, "datetime": datetime, "NaiveDatetime": NaiveDatetime, "Decimal": Decimal,
}  # fmt: skip


class Widener:
    """Widens classes in place. `made` are the new ones, each with the class of the module that it is made for."""

    def __init__(self, module: Module, taken: Collection[str], reserved: Collection[str]) -> None:
        self._found = {each.plan: each for each in module.found.values()}
        self._by_plan: dict[FieldPlan, FoundField] = {
            each.plan: each for found in module.found.values() for each in found.fields
        }
        self._taken = set(taken)
        self._reserved = reserved
        self.made: dict[ClassPlan, Found] = {}

    def widen_class(self, plan: ClassPlan, objects: ObjectOf, anchor: Found) -> None:
        """Let a class read objects. `anchor` is the class of the module that holds them, or itself."""
        is_new = plan in self.made and not plan.fields
        of = max((each.of for each in objects.fields), default=0)
        known = {each.key: each for each in plan.fields}
        for each in objects.fields:
            if each.key in known:
                self._widen_field(known[each.key], each, plan, anchor)
        seen_keys = {each.key for each in objects.fields}
        for key, there in known.items():
            if key not in seen_keys:
                self._widen_field(there, Field(key, Kinds(()), 0, of), plan, anchor)
        new = [each for each in objects.fields if each.key not in known]
        names = field_names((each.key for each in new), reserved=self._reserved, taken=self._names_in(plan))
        for each in new:
            missing = each.seen < each.of or not is_new  # what was read earlier had no such field
            kind = self._union(Union(()), each.kinds, (each.key, False, plan, anchor))
            plan.fields.append(FieldPlan(names[each.key], each.key, kind, missing, each.form, each, later=not is_new))

    def _names_in(self, plan: ClassPlan) -> Iterator[str]:
        yield from (each.name for each in plan.fields)
        if plan in self._found:
            for node in self._found[plan].node.body:
                yield getattr(node, "name", "")

    def _widen_field(self, plan: FieldPlan, field: Field, holder: ClassPlan, anchor: Found) -> None:
        found = self._by_plan.get(plan)
        nothing_known = plan.seen is None and found is not None and knows_nothing(found)
        known = _emptied(plan.kind) if nothing_known else plan.kind
        wider = self._union(known, field.kinds, (field.key, False, holder, anchor))
        kind = _filled(wider, plan.kind) if nothing_known else wider
        gone = not field.seen or field.seen < field.of
        same_form = plan.form == field.form or not _has_form(field.kinds)
        form = plan.form if same_form else field.form if nothing_known else _number_in(plan.form, field.form)
        plan.widen(
            kind,
            missing=plan.missing or (gone and (found is None or not found.has_default)),
            form=form if form is not None and _may_have(kind, form) else None,
            seen=field,
        )

    def _union(self, known: Union, kinds: Kinds, place: tuple[str, bool, ClassPlan, Found]) -> Union:
        if _ANY in known.members or not (kinds.kinds or kinds.null):
            return known if known.members or known.null else Union((_ANY,))
        members = list(known.members)
        for kind in kinds.kinds:
            members = self._with(members, kind, place)
        null = known.null or (kinds.null and not any(_accepts_null(each) for each in members))
        if not members:
            return Union((_ANY,)) if not known.null else known
        return union_of(members, null=null)

    def _with(self, members: list[Member], kind: Kind, place: tuple[str, bool, ClassPlan, Found]) -> list[Member]:
        if isinstance(kind, Scalar | Choice):
            return members if any(_reads(each, kind) for each in members) else _with_scalar(members, kind)
        for n, each in enumerate(members):
            wider = self._wider(each, kind, place, members)
            if wider is not None:
                return [*members[:n], wider, *members[n + 1 :]]
        return [*members, self._new(kind, place)]

    def _wider(
        self, member: Member, kind: Kind, place: tuple[str, bool, ClassPlan, Found], members: list[Member]
    ) -> Member | None:
        """Return what reads the kind in place of a member, or None if another member has to."""
        inside = (place[0], True, *place[2:])
        if isinstance(member, Kept):
            if member.stands_for is None:
                return member
            return member if self._union(member.stands_for, Kinds((kind,)), place) == member.stands_for else None
        if isinstance(kind, ListOf):
            return (
                evolve(member, item=self._union(member.item, kind.item, inside)) if isinstance(member, Listed) else None
            )
        if isinstance(member, Mapped):
            items = [kind.item] if isinstance(kind, MapOf) else [each.kinds for each in _fields_of(kind)]
            item = member.item
            for each in items:
                item = self._union(item, each, inside)
            return evolve(member, item=item)
        if isinstance(kind, ObjectOf) and isinstance(member, Nested):
            best = max(
                (each.plan for each in members if isinstance(each, Nested)), key=lambda plan: _shared(plan, kind)
            )
            if best is member.plan:
                self.widen_class(best, kind, self._found.get(best, place[3]))
                return member
        return None

    def _new(self, kind: Kind, place: tuple[str, bool, ClassPlan, Found]) -> Member:
        key, several, holder, anchor = place
        inside = (key, True, holder, anchor)
        if isinstance(kind, ListOf):
            return Listed(self._union(Union(()), kind.item, inside))
        if isinstance(kind, MapOf):
            return Mapped(self._union(Union(()), kind.item, inside))
        assert isinstance(kind, ObjectOf)
        if not kind.fields:
            return Mapped(Union((_ANY,)))
        plan = self._same(kind, class_name(key, plural=several, parent="", taken=()), anchor)
        if plan is None:
            plan = ClassPlan(class_name(key, plural=several, parent=holder.name, taken=self._taken))
            self._taken.add(plan.name)
            self.made[plan] = anchor
        if plan in self.made:
            plan.places.append((key, several, holder))
        self.widen_class(plan, kind, self._found.get(plan, anchor))
        return Nested(plan)

    def _same(self, objects: ObjectOf, name: str, anchor: Found) -> ClassPlan | None:
        """Return the class of that name with the same keys, if it is defined before the one that needs it."""
        keys = {each.key for each in objects.fields}
        for plan in self._found:
            above = self._found[plan].node.lineno < anchor.node.lineno
            if above and plan.name == name and {each.key for each in plan.fields} == keys:
                return plan
        for plan, made_for in self.made.items():
            above = made_for.node.lineno <= anchor.node.lineno
            if above and plan.name == name and {each.key for each in plan.fields} == keys:
                return plan
        return None


def knows_nothing(found: FoundField) -> bool:
    """Return whether a field is Any since nothing had been seen of it, as its docstring states."""
    value = found.text.value if found.text is not None else None
    text = getattr(value, "value", "")
    return isinstance(text, str) and ("lways null." in text or "Its lists were empty." in text)


def _emptied(union: Union) -> Union:
    """Return a type without the Any that stands for nothing known."""
    members: list[Member] = []
    null = union.null or union.members == (_ANY,)
    for each in union.members:
        if isinstance(each, Listed) and each.item == Union((_ANY,)):
            members.append(evolve(each, item=Union(())))
        elif each != _ANY:
            members.append(each)
    return Union(tuple(members), null)


def _filled(union: Union, before: Union) -> Union:
    """Undo _emptied where still nothing is known."""
    members = tuple(
        evolve(each, item=Union((_ANY,))) if isinstance(each, Listed) and each.item == Union(()) else each
        for each in union.members
    )
    return Union(members, union.null) if members else before


def _number_in(*forms: str | None) -> str | None:
    """Return the form of decimals if it is in all of these forms, of which the others differ."""
    return NUMBER if all(form is not None and NUMBER in form.split(SEPARATOR) for form in forms) else None


def _may_have(union: Union, form: str) -> bool:
    """Return whether values of a type can have a form of dates: texts of several kinds have become text, which has none."""
    try:
        fits = Form(form).fits
    except ConfigurationError:  # of a person's own, and not ours to change
        return True
    return any(_fits(each, fits) for each in union.members)


def _fits(member: Member, fits: Callable[[Any], bool]) -> bool:
    if isinstance(member, Listed | Mapped):
        return any(_fits(each, fits) for each in member.item.members)
    if isinstance(member, Kept):
        return member.stands_for is None or any(_fits(each, fits) for each in member.stands_for.members)
    return isinstance(member, Plain) and fits(_TYPES.get(member.name))


def _reads(member: Member, kind: Scalar | Choice) -> bool:
    if isinstance(member, Kept):
        return member.stands_for is None or any(_reads(each, kind) for each in member.stands_for.members)
    if isinstance(member, OneOf):
        return isinstance(kind, Choice) and set(kind.values) <= set(member.values)
    if not isinstance(member, Plain):
        return False
    if isinstance(kind, Choice):
        return member.name in ("str", "Any")
    return member.name in (kind.name, "Any") or kind.name in _ALSO.get(member.name, ())


def _with_scalar(members: list[Member], kind: Scalar | Choice) -> list[Member]:
    """Return the members with one more, in place of those whose values it reads as well.

    Texts of several kinds are text, as they are where all records are read at once; only dates are kept apart.
    """
    texts: list[Member] = [
        each for each in members if isinstance(each, OneOf) or (isinstance(each, Plain) and each.name in _TEXTS)
    ]
    if isinstance(kind, Choice):
        values = {value for each in texts if isinstance(each, OneOf) for value in each.values}
        choice = OneOf(tuple(sorted({*values, *kind.values})))
        return _replaced(members, choice if all(isinstance(each, OneOf) for each in texts) else Plain("str"), texts)
    new = Plain(kind.name)
    if new == _ANY:
        return [new]
    if kind.name == "Decimal":
        return _replaced(members, new, [each for each in members if each in (Plain("int"), Plain("float"))])
    if kind.name in _DATES and all(isinstance(each, Plain) and each.name in _DATES for each in texts):
        return [*members, new]
    is_text = kind.name == "str" or kind.name in _TEXTS
    if is_text and Plain("Decimal") in members and not texts:  # which reads numbers in texts, too
        place = members.index(Plain("Decimal"))
        return [*members[:place], new, *members[place:]]
    return _replaced(members, Plain("str") if texts and is_text else new, texts if is_text else [])


def _replaced(members: list[Member], new: Member, covered: list[Member]) -> list[Member]:
    if not covered:
        return [*members, new]
    place = min(members.index(each) for each in covered)
    return [
        each for n, each in enumerate([*members[:place], new, *members[place:]]) if n == place or each not in covered
    ]


def _accepts_null(member: Member) -> bool:
    if not isinstance(member, Kept):
        return member == _ANY
    return member.stands_for is not None and (
        member.stands_for.null or any(map(_accepts_null, member.stands_for.members))
    )


def _fields_of(kind: Kind) -> Iterable[Field]:
    return kind.fields if isinstance(kind, ObjectOf) else ()


def _shared(plan: ClassPlan, objects: ObjectOf) -> int:
    return len({each.key for each in plan.fields} & {each.key for each in objects.fields})


def _has_form(kinds: Kinds) -> bool:
    for each in kinds.kinds:
        if isinstance(each, Scalar) and each.name in _TYPES:
            return True
        if isinstance(each, ListOf | MapOf) and _has_form(each.item):
            return True
    return False
