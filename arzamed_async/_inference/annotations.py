"""Reads annotations as unions. What it does not know is kept as it is written."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

from .._frozen import frozen
from .plan import ClassPlan, Kept, Listed, Mapped, Member, Nested, OneOf, Plain, Union

__all__ = ["Annotations", "dotted"]

_SCALARS = {
    **{each: each for each in ("str", "int", "float", "bool")},
    **{f"datetime.{each}": each for each in ("date", "datetime", "time")},
    "decimal.Decimal": "Decimal",
    "uuid.UUID": "UUID",
    "typing.Any": "Any",
    "object": "Any",
    "arzamed_async.NaiveDatetime": "NaiveDatetime",
}
_ARRAYS = {"list", "tuple", "set", "frozenset", "sequence", "mutablesequence", "collection", "iterable"}
_MAPPINGS = {"dict", "mapping", "mutablemapping"}


def dotted(node: ast.expr, names: Mapping[str, str]) -> str:
    """Return the full name of what an expression stands for, or an empty text if it is more than a name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    if isinstance(node, ast.Subscript):
        return dotted(node.value, names)
    return ""


@frozen
class _Part:
    """What a part of an annotation adds to the union: members, and whether null is one."""

    members: tuple[Member, ...] = ()
    null: bool = False


class Annotations:
    """The annotations of a module: `classes` are its attrs classes by name."""

    def __init__(self, tree: ast.Module, names: Mapping[str, str], classes: Mapping[str, ClassPlan]) -> None:
        self._names = names
        self._classes = classes
        self._aliases = dict(_aliases(tree))
        self._open: set[str] = set()

    def union(self, node: ast.expr) -> Union:
        """Return an annotation as a union."""
        parts = list(self._parts(node))
        members = dict.fromkeys(each for part in parts for each in part.members)
        return Union(tuple(members), any(part.null for part in parts))

    def may_be_missing(self, node: ast.expr) -> bool:
        """Return whether Missing is in an annotation."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return "Missing" in node.value
        names = (each for each in ast.walk(node) if isinstance(each, ast.Name | ast.Attribute))
        return any(dotted(each, self._names) == "arzamed_async.Missing" for each in names)

    def _parts(self, node: ast.expr) -> Iterable[_Part]:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            yield from self._parts(node.left)
            yield from self._parts(node.right)
        elif isinstance(node, ast.Constant) and node.value is None:
            yield _Part(null=True)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from self._quoted(node)
        elif isinstance(node, ast.Subscript):
            yield from self._subscript(node)
        else:
            yield self._name(node)

    def _quoted(self, node: ast.Constant) -> Iterable[_Part]:
        try:
            inner = ast.parse(str(node.value), mode="eval").body
        except (SyntaxError, ValueError):
            yield _Part((Kept(ast.unparse(node)),))
            return
        yield from self._parts(inner)

    def _subscript(self, node: ast.Subscript) -> Iterable[_Part]:
        name = dotted(node.value, self._names)
        last = name.rpartition(".")[2].lower()
        inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if last == "optional":
            yield from self._parts(inner[0])
            yield _Part(null=True)
        elif last == "union":
            for each in inner:
                yield from self._parts(each)
        elif last == "annotated":
            yield _Part((Kept(ast.unparse(node), self.union(inner[0])),))
        elif last == "literal":
            yield _literal(node, inner)
        elif last in _ARRAYS:
            yield _Part((Listed(self.union(inner[0]), ast.unparse(node.value)),))
        elif last in _MAPPINGS and len(inner) == 2:
            yield _Part((Mapped(self.union(inner[1]), ast.unparse(node.value)),))
        else:
            yield _Part((Kept(ast.unparse(node)),))

    def _name(self, node: ast.expr) -> _Part:
        name = dotted(node, self._names)
        last = name.rpartition(".")[2]
        if name == "arzamed_async.Missing":
            return _Part()
        if name in _SCALARS or name in self._classes:
            return _Part((Plain(_SCALARS[name]) if name in _SCALARS else Nested(self._classes[name]),))
        if last.lower() in _ARRAYS | _MAPPINGS:  # of anything
            anything = Union((Plain("Any"),))
            holder = Listed(anything) if last.lower() in _ARRAYS else Mapped(anything)
            return _Part((Kept(ast.unparse(node), Union((holder,))),))
        if name in self._aliases and name not in self._open:
            self._open.add(name)
            stands_for = self.union(self._aliases[name])
            self._open.discard(name)
            return _Part((Kept(name, stands_for),))
        return _Part((Kept(ast.unparse(node)),))


def _literal(node: ast.Subscript, inner: list[ast.expr]) -> _Part:
    values = [each.value for each in inner if isinstance(each, ast.Constant)]
    texts = tuple(each for each in values if isinstance(each, str))
    null = None in values
    if len(values) != len(inner) or len(texts) + null != len(inner):
        return _Part((Kept(ast.unparse(node)),))
    return _Part((OneOf(texts),), null)


def _aliases(tree: ast.Module) -> Iterable[tuple[str, ast.expr]]:
    """Yield each name at the top that may stand for a type, with what it stands for: an alias, or a NewType."""
    for node in tree.body:
        target: ast.expr | None = None
        value: ast.expr | None = None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        elif type(node).__name__ == "TypeAlias":  # type X = ..., of Python 3.12
            target, value = getattr(node, "name", None), getattr(node, "value", None)
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name | ast.Attribute):
            is_new = ast.unparse(value.func).endswith("NewType") and len(value.args) == 2
            value = value.args[1] if is_new else None
        if isinstance(target, ast.Name) and value is not None:
            yield target.id, value
