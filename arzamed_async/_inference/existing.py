"""Reads a module that exists: its Endpoint, its attrs classes with their fields, and what is imported."""

from __future__ import annotations

import ast
import contextlib
import io
import tokenize
from collections.abc import Iterator
from typing import Any

from attrs import define, field

from ..errors import ConfigurationError
from .annotations import Annotations, dotted
from .naming import key_by_rule
from .plan import ClassPlan, FieldPlan

__all__ = ["Found", "FoundField", "Module", "read_module"]

_PLAIN_BASES = ("object", "typing.Generic", "typing.Protocol", "Generic", "Protocol")


def at_line(node: ast.AST, problem: str) -> ConfigurationError:
    """Return the error for a place in the module."""
    return ConfigurationError(f"the existing module, line {getattr(node, 'lineno', 1)}: {problem}")


@define(eq=False)
class FoundField:
    """A field as it is written: its statement, and the docstring below it."""

    plan: FieldPlan
    node: ast.AnnAssign
    text: ast.Expr | None
    before: tuple[object, ...] = ()

    def remember(self) -> None:
        """Keep what the field is now, so that a change is seen."""
        self.before = self._state()

    @property
    def changed(self) -> bool:
        return self.before != self._state()

    def _state(self) -> tuple[object, ...]:
        return self.plan.kind, self.plan.missing, self.plan.form

    @property
    def has_default(self) -> bool:
        value = self.node.value
        return value is not None and (not isinstance(value, ast.Call) or bool(self._arguments & {"default", "factory"}))

    @property
    def by_keyword(self) -> bool:
        return "kw_only" in self._arguments

    @property
    def _arguments(self) -> set[str | None]:
        return {each.arg for each in self.node.value.keywords} if isinstance(self.node.value, ast.Call) else set()


@define(eq=False)
class Found:
    """A class as it is written. `plan` also has the fields of its bases, `fields` its own."""

    plan: ClassPlan
    node: ast.ClassDef
    fields: list[FoundField] = field(factory=list[FoundField])
    kw_only: bool = False


@define(eq=False)
class Module:
    """A module that exists."""

    source: bytes
    tree: ast.Module
    names: dict[str, str]
    found: dict[str, Found]
    commented: set[int]
    starts: list[int]

    def place(self, line: int, column: int) -> int:
        """Return the index of a place in the source."""
        return self.starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return where a node begins and ends in the source."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.place(node.lineno, node.col_offset), self.place(node.end_lineno, node.end_col_offset)

    def text(self, node: ast.expr | ast.stmt) -> str:
        """Return a node as it is written."""
        begin, end = self.span(node)
        return self.source[begin:end].decode()

    def has_comment(self, node: ast.stmt) -> bool:
        """Return whether there is a comment within a statement, before its last line."""
        return any(line in self.commented for line in range(node.lineno, node.end_lineno or node.lineno))

    def endpoints(self) -> Iterator[tuple[ast.Call, str, str]]:
        """Yield each call of Endpoint: the call, its path, and the name of the class."""
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Call) or not dotted(node.func, self.names).endswith("Endpoint"):
                continue
            given = dict(zip(("path", "model"), node.args, strict=False))
            given |= {each.arg: each.value for each in node.keywords if each.arg is not None}
            path, model = given.get("path"), given.get("model")
            if isinstance(path, ast.Constant) and isinstance(path.value, str) and isinstance(model, ast.Name):
                yield node, path.value, model.id

    def bound(self) -> set[str]:
        """Return the names that mean something in the module."""
        names = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        made = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        return names | set(self.names) | {node.name for node in ast.walk(self.tree) if isinstance(node, made)}


def _parsed(source: bytes) -> ast.Module:
    line, problem = 1, ""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        line, problem = error.lineno or 1, "it is not Python"
    except (ValueError, RecursionError, MemoryError, SystemError):
        problem = "it cannot be parsed"
    raise ConfigurationError(f"the existing module, line {line}: {problem}. It has not been changed")


def read_module(text: str) -> Module:
    """Parse a module. Raises ConfigurationError, which names the line, where it cannot be understood."""
    text += "\n" * (text[-1:] not in ("\n", "\r"))
    source = text.encode("utf-8", "surrogatepass")
    tree = _parsed(source)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    module = Module(source, tree, _imported(tree), {}, _comments(text), starts)
    _find_classes(module)
    return module


def _comments(text: str) -> set[int]:
    with io.StringIO(text, newline="") as lines:
        return {each.start[0] for each in tokenize.generate_tokens(lines.readline) if each.type == tokenize.COMMENT}


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return what the names that a module imports stand for: "dt" for "datetime", "field" for "attrs.field"."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                whole = each.name if each.asname else each.name.partition(".")[0]
                names[each.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                names[each.asname or each.name] = f"{'.' * node.level}{node.module or ''}.{each.name}"
    return names


def _is_attrs(node: ast.ClassDef, names: dict[str, str]) -> tuple[bool, bool]:
    """Return whether a class is one of attrs, and whether its fields are given by keyword only."""
    for each in node.decorator_list:
        called = each.func if isinstance(each, ast.Call) else each
        if dotted(called, names).partition(".")[0] in {"attr", "attrs"}:
            options = each.keywords if isinstance(each, ast.Call) else []
            kw_only = [option.value for option in options if option.arg == "kw_only"]
            return True, any(isinstance(value, ast.Constant) and bool(value.value) for value in kw_only)
    return False, False


def _find_classes(module: Module) -> None:
    for node in module.tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        is_attrs, kw_only = _is_attrs(node, module.names)
        if is_attrs:
            module.found[node.name] = Found(ClassPlan(node.name), node, kw_only=kw_only)
    annotations = Annotations(module.tree, module.names, {name: each.plan for name, each in module.found.items()})
    for found in module.found.values():
        _find_fields(module, found, annotations)
    for found in module.found.values():
        found.plan.fields[:0] = _of_bases(module, found, {found.plan.name})


def _find_fields(module: Module, found: Found, annotations: Annotations) -> None:
    body = found.node.body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if dotted(node.annotation, module.names).endswith("ClassVar"):
            continue
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        text = after if is_text and isinstance(after, ast.Expr) else None
        key, form = _metadata(node)
        name = node.target.id
        kind = annotations.union(node.annotation)
        missing = annotations.may_be_missing(node.annotation)
        plan = FieldPlan(name, key_by_rule(name) if key is None else key, kind, missing=missing, form=form)
        made = FoundField(plan, node, text)
        made.remember()
        found.fields.append(made)
        found.plan.fields.append(plan)


def _metadata(node: ast.AnnAssign) -> tuple[str | None, str | None]:
    """Return the JSON key and the form of dates that a field states."""
    value = node.value
    given = [each for each in value.keywords if each.arg == "metadata"] if isinstance(value, ast.Call) else []
    for each in given:
        metadata: Any = None
        with contextlib.suppress(ValueError):
            metadata = ast.literal_eval(each.value)
        if not isinstance(metadata, dict):
            raise at_line(node, "the metadata of a field have to be a dict of texts, so that its JSON key is known")
        stated: dict[Any, Any] = {**metadata}
        key, form = stated.get("json"), stated.get("json_form")
        return (None if key is None else str(key)), (None if form is None else str(form))
    return None, None


def _of_bases(module: Module, found: Found, seen: set[str]) -> list[FieldPlan]:
    own = {each.plan.name for each in found.fields}
    inherited: list[FieldPlan] = []
    for base in found.node.bases:
        name = dotted(base.value if isinstance(base, ast.Subscript) else base, module.names)
        if name in _PLAIN_BASES or name in seen:
            continue
        if name not in module.found:
            raise at_line(base, f"{found.plan.name} has a base whose fields are not in this module")
        above = module.found[name]
        inherited += _of_bases(module, above, {*seen, name})
        inherited += [each.plan for each in above.fields]
    return [each for each in inherited if each.name not in own]
