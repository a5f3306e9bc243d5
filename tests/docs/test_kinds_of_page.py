"""Explanation pages explain: they hold no steps and no code to copy, which how-tos have."""

from __future__ import annotations

import re

import pytest
from support.docs_pages import ROOT

#: A comparison is nothing without the code that it compares.
PAGES = sorted({path.name for path in (ROOT / "docs" / "explanation").glob("*.md")} - {"comparison.md"})
#: What a how-to begins a section or a sentence with.
STEPS = re.compile(
    r"^(#+ (How (do|can) I|Set up|Install|Configure)\b.*|\d+\. (Run|Set|Install|Create|Call|Open) .*)$", re.MULTILINE
)


@pytest.mark.parametrize("page", PAGES)
def test_an_explanation_holds_no_how_to(page: str) -> None:
    """A page of explanation has no block to copy and no list of steps; it links to the how-to instead."""
    text = (ROOT / "docs" / "explanation" / page).read_text(encoding="utf-8")
    assert re.findall(r"^ *```(?:python|sh|toml)\b.*$", text, re.MULTILINE) == []
    assert STEPS.findall(text) == []


def test_each_explanation_leads_to_a_how_to() -> None:
    """Someone who came to do something finds the page for it: each explanation but the design's and the included one has a link."""
    for page in PAGES:
        if page not in {"design.md", "security.md"}:
            text = (ROOT / "docs" / "explanation" / page).read_text(encoding="utf-8")
            assert "](../how-to/" in text, page
