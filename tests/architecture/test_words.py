"""Plain words: docstrings, comments and texts of the package use the field's terms, and none of the phrases to avoid."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.sources import ALL_FILES, PACKAGE, tree_of

#: What to avoid, as a pattern, and what to say instead.
AVOID = {
    r"answer(s|ed|ing)?": "response, responds, HTTP 503",
    r"behind": "after",
    r"anew|once more": "again",
    r"so many": "a number, N",
    r"whoever|whosoever": "anyone who, a process that, a caller that",
    r"(?:^|[.;:(] )who": "a noun: a caller that, a process that",
    r"ask(s|ed|ing)?": "request, need, call",
    r"tell(s|ing)?|told": "report, raise, return, distinguish",
    r"says?|said|saying": "report, state, return",
    r"tak(e|es|en|ing) up again|takes? it up|begins? again": "resume, restart",
    r"(at|made at|by) the first (wish|use)": "lazily",
    r"what (has come|came|comes|tells|becomes of|is told|it met|it meets|has met|they met)": "a noun: the bytes received, the outcome",
    r"met": "failed with, encountered",
    r"(is|are) there already|left as (it is|they are)": "already exists, not overwritten",
    r"can(not)? be had|could be had": "is (not) available",
    r"reader (has|is) gone": "broken pipe",
    r"rises? bare|bare rise": "propagates unchanged",
    r"last word|one's own|by hand": "completion item, own, hand-written",
    r"nothing short|looks? whole": "no silent truncation",
    r"aftermath": "clean recovery",
    r"crews?|doors?|voices?|visits?|ledgers?|floors?|faces": "worker pool, adapter, reporter, budget, log, layers",
    r"words": "messages, terms, text",
    r"is no (?!longer\b|more\b)|are no (?!longer\b|more\b)": "is not a",
    r"for the moment": "temporarily, now",
    r"another's|nobody's|everybody's": "of another call, of no caller",
    r"lets? go of": "release, drop",
    r"(brok|break|breaks)e?n? off": "was interrupted",
    r"at the most": "at most",
    r"in common": "shared",
    r"tak(e|es|en) note": "record, count",
    r"hand(s|ed|ing)? (out|over)": "deliver, pass",
    r"in hand|for want of|by way of": "left, without, through",
    r"house|quota": "project, budget",
}
PATTERNS = [(re.compile(rf"(?<![\w`.])(?:{pattern})(?![\w`(])", re.IGNORECASE | re.MULTILINE), say) for pattern, say in AVOID.items()]  # fmt: skip

#: Uses that are right, by file: a part of the line, and why it may stand.
EXCUSED: dict[str, dict[str, str]] = {}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each comment, docstring and other text with white space in it, and where it begins."""
    with io.StringIO(path.read_text(encoding="utf-8")) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string.lstrip("#: ")
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


def avoided(path: Path) -> Iterator[str]:
    """Yield each phrase to avoid in a module, with its line and what to say instead."""
    excused = EXCUSED.get(path.relative_to(PACKAGE).as_posix(), {})
    for number, text in texts(path):
        plain = re.sub(r"`[^`\n]*`", "`", text)
        for pattern, say in PATTERNS:
            for found in pattern.finditer(plain):
                line = plain[plain.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0].strip()
                if not any(part in line for part in excused):
                    yield f"{number}: {found[0].strip()!r} in {line!r}; say: {say}"


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_speaks_the_terms_of_the_field(path: Path) -> None:
    """No docstring, comment or text of a module holds a phrase to avoid."""
    assert list(avoided(path)) == []


def test_each_excuse_is_needed() -> None:
    """An excuse names a line that stands in its file, and gives a reason."""
    for name, excuses in EXCUSED.items():
        text = (PACKAGE / name).read_text(encoding="utf-8")
        for part, reason in excuses.items():
            assert part in text, (name, part)
            assert reason, (name, part)
