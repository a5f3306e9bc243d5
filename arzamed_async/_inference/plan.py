"""Plans the classes of a model: which there are, what they are named, and which types their fields have."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from attrs import define, evolve, field

from .._frozen import frozen
from .naming import class_name, field_names
from .schema import Choice, Field, Kind, Kinds, ListOf, MapOf, ObjectOf, Scalar

__all__ = [
    "ClassPlan",
    "FieldPlan",
    "Kept",
    "Listed",
    "Mapped",
    "Member",
    "Nested",
    "OneOf",
    "Plain",
    "Union",
    "plan_classes",
]


@frozen
class Plain:
    """A type without parameters, by its name in the schema."""

    name: str


@frozen
class OneOf:
    """A Literal of texts."""

    values: tuple[str, ...]


@frozen
class Listed:
    """A tuple, or the type of a module that exists: `origin` as it is written there."""

    item: Union
    origin: str = "tuple"


@frozen
class Mapped:
    """A dict, or the type of a module that exists."""

    item: Union
    origin: str = "dict"


@define(eq=False)
class Nested:
    """A class of the module."""

    plan: ClassPlan


@frozen
class Kept:
    """A type of a module that exists, as it is written there, and what it stands for, if that is known."""

    source: str
    stands_for: Union | None = None


Member = Plain | OneOf | Listed | Mapped | Nested | Kept


@frozen
class Union:
    """The members of a union, and whether null is one."""

    members: tuple[Member, ...]
    null: bool = False


@define(eq=False)
class FieldPlan:
    """A field: its type, and what its docstring is made of. `later` is whether earlier records had no such field."""

    name: str
    key: str
    kind: Union
    missing: bool
    form: str | None
    seen: Field | None = None
    later: bool = False
    kw_only: bool = False

    def widen(self, kind: Union, *, missing: bool, form: str | None, seen: Field) -> None:
        """Take a wider type, and add how often the field was seen now."""
        self.kind, self.missing, self.form = kind, missing, form
        if self.seen is not None:
            before = self.seen
            seen = evolve(seen, seen=before.seen + seen.seen, of=before.of + seen.of, nulls=before.nulls + seen.nulls)
        self.seen = seen

    def make_kw_only(self) -> None:
        """Let the field be given by keyword only."""
        self.kw_only = True


@define(eq=False)
class ClassPlan:
    """A class. `places` are where its objects stand: a key, whether it holds several, and the class that has it."""

    name: str
    fields: list[FieldPlan] = field(factory=list[FieldPlan])
    places: list[tuple[str, bool, ClassPlan]] = field(factory=list["tuple[str, bool, ClassPlan]"])


_Signature = tuple[object, ...]


def _signature(kind: Kind) -> _Signature:
    """Return what two kinds share that are written as one type, whether or not null was seen or fields were missing."""
    if isinstance(kind, Scalar):
        return (kind.name,)
    if isinstance(kind, Choice):
        return ("one of", kind.values)
    if isinstance(kind, ObjectOf):
        return ("object", frozenset((each.key, each.form, _signatures(each.kinds)) for each in kind.fields))
    return (type(kind).__name__, _signatures(kind.item))


def _signatures(kinds: Kinds) -> _Signature:
    return tuple(map(_signature, kinds.kinds))


def _together(one: Kinds, other: Kinds) -> Kinds:
    """Return the kinds of two places with one signature. Objects stay those of the first: they have classes of their own."""
    kinds = tuple(
        evolve(a, item=_together(a.item, b.item))
        if isinstance(a, ListOf | MapOf) and isinstance(b, ListOf | MapOf)
        else a
        for a, b in zip(one.kinds, other.kinds, strict=True)
    )
    return Kinds(kinds, one.null or other.null)


def _merged(one: Field, other: Field) -> Field:
    return Field(
        key=one.key,
        kinds=_together(one.kinds, other.kinds),
        seen=one.seen + other.seen,
        of=one.of + other.of,
        nulls=one.nulls + other.nulls,
        form=one.form,
        notes=tuple(dict.fromkeys((*one.notes, *other.notes))),
    )


@define(eq=False)
class _Group:
    """The objects that are of one class."""

    key: str
    several: bool
    plan: ClassPlan
    fields: dict[str, Field] = field(factory=dict[str, Field])

    def add(self, found: ObjectOf) -> None:
        for each in found.fields:
            known = self.fields.get(each.key)
            self.fields[each.key] = each if known is None else _merged(known, each)


def objects_in(kinds: Kinds, *, several: bool = False) -> Iterator[tuple[bool, ObjectOf]]:
    """Yield each object at a place, and whether it stands in a list or a map."""
    for kind in kinds.kinds:
        if isinstance(kind, ObjectOf):
            yield several, kind
        elif isinstance(kind, ListOf | MapOf):
            yield from objects_in(kind.item, several=True)


class _Planner:
    def __init__(self, taken: Collection[str], reserved: Collection[str]) -> None:
        self._taken = set(taken)
        self._reserved = reserved
        self._groups: dict[_Signature, _Group] = {}

    def plan(self, root: ClassPlan, found: ObjectOf) -> list[ClassPlan]:
        self._taken.add(root.name)
        top = _Group("", False, root)
        top.add(found)
        pending: deque[tuple[_Group, ObjectOf]] = deque([(top, found)])
        while pending:
            group, holder = pending.popleft()
            for each in holder.fields:
                for several, inner in objects_in(each.kinds):
                    if inner.fields:
                        pending.append((self._group(each.key, several, inner, group), inner))
        groups = [top, *self._groups.values()]
        for group in groups[1:]:
            group.plan.name = self._name(group)
        for group in groups:
            self._fill(group)
        return [group.plan for group in groups]

    def _group(self, key: str, several: bool, found: ObjectOf, parent: _Group) -> _Group:
        wanted = class_name(key, plural=several, parent="", taken=())
        signature = (wanted, _signature(found))
        if signature not in self._groups:
            self._groups[signature] = _Group(key, several, ClassPlan(wanted))
        group = self._groups[signature]
        group.add(found)
        group.plan.places.append((key, several, parent.plan))
        return group

    def _name(self, group: _Group) -> str:
        parent = group.plan.places[0][2].name
        name = class_name(group.key, plural=group.several, parent=parent, taken=self._taken)
        self._taken.add(name)
        return name

    def _fill(self, group: _Group) -> None:
        names = field_names(group.fields, reserved=self._reserved)
        for key, seen in group.fields.items():
            kind = self._union(seen.kinds, key, several=False)
            group.plan.fields.append(FieldPlan(names[key], key, kind, seen.seen < seen.of, seen.form, seen))

    def _union(self, kinds: Kinds, key: str, *, several: bool) -> Union:
        members = tuple(self._member(each, key, several) for each in kinds.kinds)
        return union_of(members, null=kinds.null)

    def _member(self, kind: Kind, key: str, several: bool) -> Member:
        if isinstance(kind, Scalar):
            return Plain(kind.name)
        if isinstance(kind, Choice):
            return OneOf(kind.values)
        if isinstance(kind, ListOf):
            return Listed(self._union(kind.item, key, several=True))
        if isinstance(kind, MapOf):
            return Mapped(self._union(kind.item, key, several=True))
        if not kind.fields:
            return Mapped(Union((Plain("Any"),)))
        wanted = class_name(key, plural=several, parent="", taken=())
        return Nested(self._groups[wanted, _signature(kind)].plan)


def union_of(members: Iterable[Member], *, null: bool) -> Union:
    """Return a union. It is Any where that is a member, and where nothing else is known."""
    every = tuple(dict.fromkeys(members))
    return Union((Plain("Any"),)) if not every or Plain("Any") in every else Union(every, null)


def plan_classes(name: str, found: ObjectOf, *, taken: Collection[str], reserved: Collection[str]) -> list[ClassPlan]:
    """Return the class of a model, then those of the objects in it, the outer ones first.

    Objects of the same structure after which one class is named share it. `taken` are names that the module uses,
    `reserved` those that mean something in the body of a class.
    """
    return _Planner(taken, reserved).plan(ClassPlan(name), found)
