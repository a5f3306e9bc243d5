"""Writes planned classes and fields as Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .imports import Imports
from .layout import Bracketed, Expression, Joined, Named, assignment, call, quoted, subscript
from .naming import key_by_rule
from .plan import ClassPlan, FieldPlan, Listed, Mapped, Member, Nested, OneOf, Plain, Union
from .wording import class_text, docstring, field_text

__all__ = ["class_source", "endpoint_source", "field_source", "field_value", "in_order", "kind_of"]

INDENT = 4


def _member(member: Member, imports: Imports) -> Expression:
    if isinstance(member, Plain):
        return imports.local(member.name)
    if isinstance(member, OneOf):
        return subscript(imports.local("Literal"), [quoted(each) for each in member.values])
    if isinstance(member, Listed):
        item = kind_of(member.item, imports)
        return subscript(member.origin, [item, "..."] if member.origin.lower().endswith("tuple") else [item])
    if isinstance(member, Mapped):
        return subscript(member.origin, ["str", kind_of(member.item, imports)])
    return member.plan.name if isinstance(member, Nested) else member.source


def kind_of(union: Union, imports: Imports, *, missing: bool = False) -> Expression:
    """Return the annotation for a union; with `missing` the field may be absent."""
    members = [_member(each, imports) for each in union.members]
    members += [imports.local("Missing")] if missing else []
    members += ["None"] * union.null  # last, as ruff's RUF036 wants it
    return members[0] if len(members) == 1 else Joined(tuple(members))


def field_value(plan: FieldPlan, imports: Imports) -> Expression | None:
    """Return what stands at the right of a new field, or None."""
    metadata = {} if key_by_rule(plan.name) == plan.key else {"json": plan.key}
    metadata |= {"json_form": plan.form} if plan.form is not None else {}
    if not metadata and not plan.kw_only:
        return imports.local("MISSING") if plan.missing else None
    items: list[Expression] = [f"default={imports.local('MISSING')}"] if plan.missing else []
    items += ["kw_only=True"] * plan.kw_only
    entries = tuple(f"{quoted(name)}: {quoted(text)}" for name, text in metadata.items())
    if entries:
        items.append(Named("metadata=", Bracketed("{", entries, "}", display=True)))
    return call(imports.local("field"), items)


def field_source(plan: FieldPlan, imports: Imports, things: str, indent: int = INDENT) -> str:
    """Return a new field, with its docstring if there is something to report."""
    kind = kind_of(plan.kind, imports, missing=plan.missing)
    text = assignment(plan.name, kind, field_value(plan, imports), indent)
    told = field_text(plan.seen, things, later=plan.later) if plan.seen is not None else ""
    return f"{text}\n{' ' * indent}{docstring(told, indent)}" if told else text


def class_source(plan: ClassPlan, imports: Imports, text: str = "") -> str:
    """Return a new class. `text` is the docstring of that of the records; others report where their objects stand."""
    about = text or class_text((key, several, parent.name) for key, several, parent in plan.places)
    things = "records" if text else "objects"
    lines = [f"@{imports.local('frozen')}(kw_only=True)", f"class {plan.name}:"]
    lines += [" " * INDENT + docstring(about, INDENT), ""] if plan.fields else [" " * INDENT + docstring(about, INDENT)]
    return "\n".join([*lines, *(field_source(each, imports, things) for each in plan.fields)])


def endpoint_source(name: str, path: str, model: str, *, personal: bool, imports: Imports) -> str:
    """Return the assignment of an Endpoint."""
    items = [quoted(path), model, *["personal=True"] * personal]
    return assignment(name, None, call(imports.local("Endpoint"), items))


def classes_in(union: Union) -> Iterator[ClassPlan]:
    """Yield each class that a type names."""
    for each in union.members:
        if isinstance(each, Nested):
            yield each.plan
        elif isinstance(each, Listed | Mapped):
            yield from classes_in(each.item)


def in_order(plans: Iterable[ClassPlan]) -> list[ClassPlan]:
    """Return classes and those in their fields, each after what it names."""
    placed: dict[ClassPlan, None] = {}

    def place(plan: ClassPlan) -> None:
        if plan in placed:
            return
        for each in plan.fields:
            for inner in classes_in(each.kind):
                place(inner)
        placed[plan] = None

    for plan in plans:
        place(plan)
    return list(placed)
