"""Adds imports to a module that exists, at their sorted places."""

from __future__ import annotations

import ast

from .edits import Edits
from .existing import Module
from .imports import SHORT, Imports, by_kind, from_import, section_of
from .layout import WIDTH

__all__ = ["edit_imports"]


def edit_imports(module: Module, imports: Imports, edits: Edits) -> None:
    """Import what is needed: in the import of its module if there is one, or in one of its own at its sorted place."""
    new: dict[int, list[tuple[str, str]]] = {}
    if imports.uses_short:
        new[section_of("datetime")] = [("datetime", f"import datetime as {SHORT}")]
    for home in sorted(imports.used):
        names = imports.used[home]
        known = [node for node in module.tree.body if isinstance(node, ast.ImportFrom) and node.module == home]
        if not known or known[0].level or any(each.name == "*" for each in known[0].names):
            new.setdefault(section_of(home), []).append((home, from_import(home, names)))
            continue
        node = known[0]
        if module.has_comment(node):
            _into_commented(module, edits, node, names)
            continue
        begin, end = module.span(node)
        every = {f"{each.name} as {each.asname}" if each.asname else each.name for each in node.names}
        edits.replace(begin, end, _wrapped(from_import(home, every | names)))
    there = {section_of(_module(node)) for node in module.tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    for section, statements in new.items():
        if section in there:
            for home, statement in statements:
                _add(module, edits, home, statement)
        else:  # a section of its own, as a whole
            _add(module, edits, statements[0][0], "\n".join(each for _, each in statements))


def _module(node: ast.Import | ast.ImportFrom) -> str:
    return node.names[0].name if isinstance(node, ast.Import) else node.module or ""


def _into_commented(module: Module, edits: Edits, node: ast.ImportFrom, names: set[str]) -> None:
    """Add names to an import that holds comments: each on a line of its own, where the others are."""
    lines = [each.lineno for each in node.names]
    if len({node.lineno, *lines}) <= len(lines):
        _add(module, edits, node.module or "", from_import(node.module or "", names))
        return
    for name in sorted(names, key=by_kind):
        after = [each for each in node.names if by_kind(each.name) > by_kind(name)]
        line = after[0].lineno if after else (node.end_lineno or node.lineno)
        edits.insert_lines(line, f"    {name},")


def _wrapped(statement: str) -> str:
    if len(statement) <= WIDTH:
        return statement
    head, _, names = statement.partition(" import ")
    lines = "".join(f"    {each},\n" for each in names.split(", "))
    return f"{head} import (\n{lines})"


def _add(module: Module, edits: Edits, home: str, statement: str) -> None:
    """Insert an import before the first one that is sorted after it, within its section."""
    wanted = (section_of(home), statement.startswith("from "), home)
    last: ast.stmt | None = None
    same = False
    for node in module.tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        name = _module(node)
        here = (section_of(name), isinstance(node, ast.ImportFrom), name)
        if here > wanted and here[0] == wanted[0]:
            edits.insert_lines(node.lineno, statement)
            return
        if here[0] > wanted[0]:
            between = "" if same else "\n"
            if same and last is not None:
                edits.insert_lines((last.end_lineno or last.lineno) + 1, statement)
            else:
                edits.insert_lines(node.lineno, statement + between)
            return
        last, same = node, here[0] == wanted[0]
    line = 1 if last is None else (last.end_lineno or last.lineno) + 1
    edits.insert_lines(line, statement if same or last is None else f"\n{statement}")
