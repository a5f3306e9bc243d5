"""docs/reference/troubleshooting.md: each text that a user can meet has its entry, and each entry a text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.messages import messages

import arzamed_async

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "troubleshooting.md"
TEXT = PAGE.read_text(encoding="utf-8")
ENTRIES = re.findall(r"^### (.+?)\n\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
MESSAGES = messages()


def quoted(entry: tuple[str, str]) -> list[str]:
    """Return the texts that an entry is for: its heading, and those of its line "Also"."""
    also = re.search(r"^Also: (.*)\.$", entry[1], re.MULTILINE)
    found = re.findall(r"(`+) ?(.+?) ?\1(?!`)", f"{entry[0]} {also[1] if also else ''}")
    return [text for _, text in found]


def matches(entry: str, text: str) -> bool:
    """Whether a text is the entry's: `…` stands for anything, and a text may have more around it."""
    pattern = ".*".join(map(re.escape, entry.split("…")))
    return re.fullmatch(pattern, text, re.DOTALL) is not None


PATTERNS = {text: entry for entry in ENTRIES for text in quoted(entry)}


@pytest.mark.parametrize("text", MESSAGES, ids=str)
def test_each_text_has_an_entry(text: str) -> None:
    """A user who searches the page for the text of an error finds what to do."""
    assert [pattern for pattern in PATTERNS if matches(pattern, text)] != [], MESSAGES[text]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry[0])
def test_each_entry_has_cause_check_and_fix(entry: tuple[str, str]) -> None:
    """No entry is without one of the three, in this order."""
    assert re.findall(r"^- \*\*(\w+):\*\* \S", entry[1], re.MULTILINE) == ["Cause", "Check", "Fix"]


def test_what_an_entry_advises_is_there() -> None:
    """Each class, function and field of the package that the page names exists."""
    for owner, name in re.findall(r"`([A-Z]\w+)\.(\w+)", TEXT):
        if hasattr(arzamed_async, owner):
            kind = getattr(arzamed_async, owner)
            assert hasattr(kind, name) or name in {field.name for field in getattr(kind, "__attrs_attrs__", ())}, (
                owner,
                name,
            )
