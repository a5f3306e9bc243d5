"""Changes the text of a module where its classes have been widened, and nowhere else."""

from __future__ import annotations

import ast

from .existing import Found, FoundField, Module, at_line
from .imports import Imports
from .layout import Bracketed, Expression, Named, assignment, call, flat, quoted
from .plan import ClassPlan, FieldPlan
from .render import class_source, classes_in, field_source, field_value, in_order, kind_of
from .wording import docstring, field_text, renewed, renewed_module

__all__ = ["Edits"]


class Edits:
    """The changes of one module: pieces of its source, and what takes their place."""

    def __init__(self, module: Module, imports: Imports) -> None:
        self._module = module
        self._imports = imports
        self._pieces: list[tuple[int, int, int, str]] = []
        self._eager = module.names.get("annotations") != "__future__.annotations"

    def replace(self, begin: int, end: int, text: str) -> None:
        """Put a text in place of a piece of the source. Of texts for one place the earlier one stands first."""
        self._pieces.append((begin, end, len(self._pieces), text))

    def result(self) -> str:
        """Return the source with all changes."""
        source = self._module.source
        newline = "\r\n" if b"\r\n" in source else "\n"
        for begin, end, _, text in sorted(self._pieces, reverse=True):
            source = source[:begin] + text.replace("\n", newline).encode("utf-8", "surrogatepass") + source[end:]
        return source.decode("utf-8", "surrogatepass")

    def line_start(self, line: int) -> int:
        """Return where a line begins; the line after the last one is the end."""
        return self._module.starts[min(line, len(self._module.starts)) - 1]

    def insert_lines(self, line: int, text: str) -> None:
        """Put lines before a line."""
        place = self.line_start(line)
        self.replace(place, place, f"{text}\n")

    def append(self, text: str) -> None:
        """Put lines after the last one."""
        self.insert_lines(len(self._module.starts), text)

    def widen(self, found: Found, things: str) -> None:
        """Write the changed and the new fields of a class."""
        own = {each.plan for each in found.fields}
        above = {each for each in found.plan.fields if each not in own}
        inherited = {each.plan for other in self._module.found.values() for each in other.fields}
        new = [each for each in found.plan.fields if each in above - inherited]
        if not found.kw_only:
            _keep_order(found)
        for each in found.fields:
            if each.changed:
                self._statement(found, each)
            self._text(each, things)
        if new:
            self._insert_fields(found, new, things)

    def _indent(self, node: ast.stmt) -> str:
        begin = self._module.place(node.lineno, 0)
        return self._module.source[begin : begin + node.col_offset].decode()

    def _statement(self, found: Found, field: FoundField) -> None:
        node, plan = field.node, field.plan
        kind = kind_of(plan.kind, self._imports, missing=plan.missing)
        if isinstance(node.annotation, ast.Constant) or (self._eager and self._is_ahead(found, plan)):
            kind = quoted(flat(kind))
        if self._module.has_comment(node):
            self._least(field, kind)
            return
        value = self._value(field)
        begin, end = self._module.span(node)
        pad = self._indent(node)
        text = assignment(plan.name, kind, value, len(pad))
        self.replace(begin, end, _indented(text, pad).removeprefix(pad))

    def _is_ahead(self, found: Found, plan: FieldPlan) -> bool:
        """Return whether a type names a class that is defined later."""
        lines = {each.plan: each.node.lineno for each in self._module.found.values()}
        return any(lines.get(each, 0) >= found.node.lineno for each in classes_in(plan.kind))

    def _least(self, field: FoundField, kind: Expression) -> None:
        """Change a statement that holds comments: its type, default and form, and nothing else."""
        node = field.node
        begin, end = self._module.span(node.annotation)
        self.replace(begin, end, flat(kind))
        if field.plan.form is None:
            self._drop_form(node)
        if not field.plan.missing or field.has_default:
            return
        default = self._imports.local("MISSING")
        if isinstance(node.value, ast.Call):
            place = self._module.source.index(b"(", self._module.span(node.value.func)[1]) + 1
            self.replace(place, place, f"default={default}, ")
        else:
            self.replace(end, end, f" = {default}")

    def _drop_form(self, node: ast.AnnAssign) -> None:
        """Take the form of dates out of a field's metadata."""
        for each in ast.walk(node):
            if not isinstance(each, ast.Dict):
                continue
            for n, key in enumerate(each.keys):
                if isinstance(key, ast.Constant) and key.value == "json_form":
                    begin, end = self._module.span(key)[0], self._module.span(each.values[n])[1]
                    if n:
                        begin = self._module.span(each.values[n - 1])[1]
                    elif len(each.values) > 1:
                        end = self._module.span(each.keys[1] or each.values[1])[0]
                    self.replace(begin, end, "")

    def _value(self, field: FoundField) -> Expression | None:
        value, plan = field.node.value, field.plan
        if value is None:
            return field_value(plan, self._imports)
        if not isinstance(value, ast.Call):
            return self._module.text(value)
        items: list[Expression] = []
        if plan.missing and not field.has_default:
            items.append(f"default={self._imports.local('MISSING')}")
        items += ["kw_only=True"] * (plan.kw_only and not field.by_keyword)
        for each in value.keywords:
            if each.arg == "metadata" and isinstance(each.value, ast.Dict):
                entries = self._metadata(each.value, plan.form)
                if entries:
                    items.append(Named("metadata=", Bracketed("{", entries, "}", display=True)))
            else:
                name = f"{each.arg}=" if each.arg else "**"
                items.append(f"{name}{self._module.text(each.value)}")
        missing = self._imports.local("MISSING") if plan.missing else ""
        if not items:
            return None
        return missing if missing and items == [f"default={missing}"] else call(self._module.text(value.func), items)

    def _metadata(self, node: ast.Dict, form: str | None) -> tuple[str, ...]:
        entries: list[str] = []
        for key, value in zip(node.keys, node.values, strict=True):
            is_form = isinstance(key, ast.Constant) and key.value == "json_form"
            name = f"{self._module.text(key)}: " if key is not None else "**"
            if is_form and form is not None:
                entries.append(f"{name}{quoted(form)}")
            elif not is_form:
                entries.append(f"{name}{self._module.text(value)}")
        return tuple(entries)

    def _text(self, field: FoundField, things: str) -> None:
        """Renew the docstring of a field, or write one where the field has changed."""
        seen = field.plan.seen
        if seen is None:
            return
        pad = self._indent(field.node)
        if field.text is None:
            told = field_text(seen, things) if field.changed else ""
            if told:
                line = (field.node.end_lineno or field.node.lineno) + 1
                self.insert_lines(line, _indented(pad + docstring(told, len(pad)), pad))
            return
        begin, end = self._module.span(field.text)
        old, now = renewed(str(getattr(field.text.value, "value", "")), seen, things)
        place = self._module.source.find(old.encode(), begin, end) if old != now else -1
        if place >= 0:
            self.replace(place, place + len(old.encode()), now)

    def renew_head(self, records: int) -> None:
        """Renew the number of records in the docstring of the module."""
        first = self._module.tree.body[0] if self._module.tree.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            begin, end = self._module.span(first)
            text = self._module.source[begin:end].decode()
            if (now := renewed_module(text, records)) != text:
                self.replace(begin, end, now.replace("\r\n", "\n"))

    def _insert_fields(self, found: Found, new: list[FieldPlan], things: str) -> None:
        body = found.node.body
        if body[0].lineno == found.node.lineno:
            raise at_line(found.node, f"give the body of {found.plan.name} lines of its own")
        pad = self._indent(body[0])
        text = "\n".join(_indented(field_source(each, self._imports, things, len(pad)), pad) for each in new)
        if found.fields:
            last = found.fields[-1]
            end = (last.text or last.node).end_lineno
        else:
            end = body[0].end_lineno
            text = f"\n{text}"
        self.insert_lines((end or 0) + 1, text)

    def insert_classes(self, made: dict[ClassPlan, Found]) -> None:
        """Write the new classes, each before the class that it is made for."""
        for plan in in_order(made):
            if plan in made:
                node = made[plan].node
                line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                while line > 1 and self._line(line - 1).startswith(b"#"):
                    line -= 1
                self.insert_lines(line, f"{class_source(plan, self._imports)}\n\n")

    def _line(self, line: int) -> bytes:
        return self._module.source[self.line_start(line) : self.line_start(line + 1)]


def _keep_order(found: Found) -> None:
    """Let a field that gets a default be given by keyword, where one without a default follows."""
    defaults = [each.plan.missing or each.has_default for each in found.fields]
    for n, each in enumerate(found.fields):
        fresh = each.plan.missing and not each.has_default
        if fresh and not each.by_keyword and not all(defaults[n + 1 :]):
            each.plan.make_kw_only()


def _indented(text: str, pad: str) -> str:
    """Return lines that are indented by spaces with the indent of a class that has another."""
    if not pad.strip(" "):
        return text
    return "\n".join(pad + line[len(pad) :] if line.startswith(" ") else line for line in text.split("\n"))
