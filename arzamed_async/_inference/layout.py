"""Lays out statements as `ruff format` does, at its default width of 88 columns.

An expression is text, a list in brackets, or a union. It stands on one line if it fits; if not, its parts do.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from .._frozen import frozen

__all__ = [
    "WIDTH",
    "Bracketed",
    "Expression",
    "Joined",
    "Named",
    "assignment",
    "call",
    "flat",
    "quoted",
    "subscript",
    "width",
]

WIDTH = 88
INDENT = 4


@frozen
class Bracketed:
    """Items in brackets: `tuple[int, ...]`, `field(default=MISSING)`, `{"json": "key"}`.

    If they do not fit on the line, they are put on one of their own if they fit there, unless they are a `display`.
    """

    before: str
    items: tuple[Expression, ...]
    after: str
    display: bool = False


@frozen
class Joined:
    """The members of a union."""

    items: tuple[Expression, ...]


@frozen
class Named:
    """An argument with its name: `metadata=`, and the value."""

    name: str
    value: Expression


Expression = str | Bracketed | Joined | Named


def call(name: str, items: Sequence[Expression]) -> Bracketed:
    """Return `name(items)`."""
    return Bracketed(f"{name}(", tuple(items), ")")


def subscript(name: str, items: Sequence[Expression]) -> Bracketed:
    """Return `name[items]`."""
    return Bracketed(f"{name}[", tuple(items), "]")


def quoted(text: str) -> str:
    """Return a text as a literal in double quotes, or in single ones where these need fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    signs = (f"\\{sign}" if sign == quote else sign if sign in "'\"" else repr(sign)[1:-1] for sign in text)
    return f"{quote}{''.join(signs)}{quote}"


def width(text: str) -> int:
    """Return the number of columns that a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def flat(part: Expression) -> str:
    """Return an expression on one line."""
    if isinstance(part, str):
        return part
    if isinstance(part, Joined):
        return " | ".join(map(flat, part.items))
    if isinstance(part, Named):
        return part.name + flat(part.value)
    return f"{part.before}{', '.join(map(flat, part.items))}{part.after}"


def _laid(part: Expression, indent: int, column: int, after: int) -> str:
    """Return an expression that begins at a column, on a line with this indent; `after` columns follow it."""
    text = flat(part)
    if isinstance(part, str) or column + width(text) + after <= WIDTH:
        return text
    pad = " " * indent
    if isinstance(part, Named):
        return part.name + _laid(part.value, indent, column + width(part.name), after)
    if isinstance(part, Joined):
        last = len(part.items) - 1
        lines = [_laid(each, indent, indent + (n > 0) * 2, after * (n == last)) for n, each in enumerate(part.items)]
        return f"\n{pad}| ".join(lines)
    inner = indent + INDENT
    inside = " " * inner
    items = ", ".join(map(flat, part.items))
    if not part.display and inner + width(items) <= WIDTH:
        return f"{part.before}\n{inside}{items}\n{pad}{part.after}"
    comma = "," if len(part.items) > 1 or not part.before.endswith("[") else ""
    lines = [f"{inside}{_laid(each, inner, inner, len(comma))}{comma}" for each in part.items]
    return "\n".join([part.before, *lines, pad + part.after])


def assignment(name: str, kind: Expression | None, value: Expression | None, indent: int = 0) -> str:
    """Return `name: kind = value`; `kind` or `value` may be missing."""
    pad = " " * indent
    head = f"{pad}{name}"
    if kind is None:
        assert value is not None
        return f"{head} = {_laid(value, indent, width(head) + 3, 0)}"
    head += ": "
    whole = f"{head}{flat(kind)}"
    tail = "" if value is None else f" = {flat(value)}"
    if width(whole + tail) <= WIDTH:
        return whole + tail
    opened = f" = {value.before}" if isinstance(value, Bracketed) else tail
    if width(whole + opened) > WIDTH:
        if value is not None and width(whole) + 4 <= WIDTH:
            inner = " " * (indent + INDENT)
            return f"{whole} = (\n{inner}{_laid(value, indent + INDENT, indent + INDENT, 0)}\n{pad})"
        if isinstance(kind, Bracketed):
            whole = head + _laid(kind, indent, width(head), width(opened))
        elif not isinstance(kind, str) or (value is None and indent + INDENT + width(kind) <= WIDTH):
            inner = " " * (indent + INDENT)
            whole = f"{head}(\n{inner}{_laid(kind, indent + INDENT, indent + INDENT, 0)}\n{pad})"
    if value is None:
        return whole
    last = whole.rpartition("\n")[2]
    return f"{whole} = {_laid(value, indent, width(last) + 3, 0)}"
