"""The texts that the package can give to a user, read from its source: of errors, of tables of reasons, of the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from arzamed_async import errors
from arzamed_async._http import failures, reasons

from .sources import ALL_FILES, PACKAGE, tree_of

__all__ = ["messages"]

#: Functions besides the errors' own classes that make an error of the text they are given, or print it.
_MAKERS = {"OutputError", "not_sent", "message"}
#: Variables that hold the end of an error's text.
_ENDS = {"problem", "refusal"}
#: Parts of a text that have entries of their own: a template of nothing else needs none.
_OWN = re.compile(r"[…\s.:,()'\"]*")


def messages() -> dict[str, str]:
    """Return each text, with `…` where it has a value, and the place where it is made."""
    found: dict[str, str] = {}
    for path in ALL_FILES:
        if "testing" in path.parts:
            continue
        for line, text in _texts(tree_of(path)):
            found.setdefault(text, f"{path.relative_to(PACKAGE)}:{line}")
    for text in _reasons():
        found.setdefault(text, "_http")
    return {text: place for text, place in found.items() if not _OWN.fullmatch(text)}


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if node.args and (name in _MAKERS or name in errors.__all__ or name.endswith("Cancelled")):
                yield from ((node.lineno, text) for text in _templates(node.args[0]))
        elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") in _ENDS for target in node.targets):
            yield from ((node.lineno, f"… {text}") for text in _templates(node.value))


def _templates(node: ast.AST) -> Iterator[str]:
    """Yield the text of an expression, or those of both its branches; nothing where it is made elsewhere."""
    if isinstance(node, ast.IfExp):
        yield from _templates(node.body)
        yield from _templates(node.orelse)
    elif (text := _template(node)) is not None and text.strip():
        yield text


def _template(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _template(node.left), _template(node.right)
        return None if left is right is None else (left or "…") + (right or "…")
    return None


def _reasons() -> Iterator[str]:
    """Yield why there may be no usable response: these texts are in tables."""
    yield from failures.REASONS.values()
    yield from (f"the TLS certificate {what}" for what, _ in reasons._CERTIFICATES.values())
    yield from (what for what, _ in reasons._TLS.values())
    yield from (what for what, *_ in reasons._LOOK_UPS.values())
    yield from (f"{what} (HTTP …)" for what, *_ in reasons._PROXIES.values())
    for message in ("Got more than", "Too many headers", "Head too long"):
        if reason := reasons.head_reason(message, 1, 1, 1):
            yield re.sub(r"\b1\b", "…", reason[0])
