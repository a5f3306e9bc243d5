"""Plain words in what a user reads: README, the docs, SECURITY, CONTRIBUTING, the examples, and what CHANGELOG says of the next version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.docs_pages import ROOT, pages

#: What to avoid, as a pattern, and what to say instead.
AVOID = {
    r"answer(s|ed|ing)?": "response, responds, HTTP 503",
    r"behind (?!(a|an|the|your|one|nginx|a reverse) ?(\w+ )?(proxy|firewall|dead|sign-in|nginx|plain|load))": "after",
    r"anew": "again",
    r"so many": "a number, N",
    r"whoever|whosoever": "anyone who",
    r"(is|are|was|were|be|being) asked|asks? (for|again)": "request, need, call",
    r"told|tells": "reported, raised, returned",
    r"says so": "reports it",
    r"tak(e|es|en|ing) up again|takes? it up|begins? again": "resume, restart",
    r"(at|made at|by) the first (wish|use)": "lazily",
    r"what (has come|came|comes of|becomes of|it met|it meets|has met|they met)": "the bytes received, the outcome of",
    r"(?<!\w)met (a|an|the|with)": "failed with, encountered",
    r"(is|are) there already|left as (it is|they are)": "already exists, not overwritten",
    r"can(not)? be had|could be had": "is (not) available",
    r"reader (has|is) gone": "broken pipe",
    r"rises? bare|bare rise": "propagates unchanged",
    r"last word|one's own": "completion item, own",
    r"nothing short that|looks whole": "no silent truncation",
    r"aftermath": "clean recovery",
    r"crews?|ledgers?": "worker pool, request log",
    r"for the moment": "temporarily, now",
    r"another's|nobody's|everybody's": "of another call",
    r"lets? go of": "release",
    r"(brok|break|breaks)e?n? off": "was interrupted",
    r"at the most": "at most",
    r"in common": "shared",
    r"tak(e|es|en) note": "record, count",
    r"hand(s|ed|ing)? (out|over)": "deliver, pass",
    r"for want of|by way of": "without, through",
    r"nowadays|hitherto|thereof|wherein|whereby": "a plain word",
}
PATTERNS = [(re.compile(rf"(?<![\w`.-])(?:{pattern})(?![\w`(])", re.IGNORECASE), say) for pattern, say in AVOID.items()]
#: Pages that quote the words to avoid.
QUOTE = {"CONTRIBUTING.md"}
PAGES = [page for page in pages() if page not in QUOTE]


def prose(page: str) -> str:
    """Return the text that a person reads, on its own lines: without code, links' targets and comments."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page == "CHANGELOG.md":  # what has been released is history
        text = text.partition("\n## [0.1.0]")[0]
    for code in (r"^ *```.*?^ *```", r"<!--.*?-->"):
        text = re.sub(code, lambda found: "\n" * found[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"(`+).*?\1", "`", text))


def avoided(text: str) -> list[str]:
    """Return each phrase to avoid, with its line and what to say instead."""
    found = []
    for pattern, say in PATTERNS:
        for match in pattern.finditer(text):
            line = text[text.rfind("\n", 0, match.start()) + 1 :].partition("\n")[0].strip()
            found.append(f"{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r} in {line!r}; say: {say}")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_speaks_plainly(page: str) -> None:
    """No page has a phrase that a reader of English has to read twice."""
    assert avoided(prose(page)) == []


@pytest.mark.parametrize(
    "text", ["It is told to observers.", "The list broke off behind 3 records.", "He answers anew."]
)
def test_the_check_finds_what_it_is_for(text: str) -> None:
    """A phrase to avoid is found, and named."""
    assert avoided(text)


def lists_run_into_text(text: str) -> list[str]:
    """Return the first items of lists that follow a line of text at once: the site's Markdown shows them as that paragraph's text."""
    found: list[str] = []
    in_list = in_code = False
    before = ""
    for line in text.splitlines():
        if re.match(r"\s*(```|~~~)", line):
            in_code = not in_code
        elif not in_code:
            item = re.match(r"\s*([-*]|\d+\.) ", line)
            if item and before.strip() and not in_list:
                found.append(line)
            in_list = bool(item) or (in_list and bool(line.strip()))
        before = line
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_list_stands_apart_from_the_text_before_it(page: str) -> None:
    """GitHub shows a list without an empty line before it as one, and the site does not."""
    assert lists_run_into_text((ROOT / page).read_text(encoding="utf-8")) == []


def test_a_list_that_runs_into_text_is_found() -> None:
    """The check finds such a list, and no other."""
    assert lists_run_into_text("Text:\n- one\n- two\n") == ["- one"]
    assert lists_run_into_text("Text:\n\n- one\n  goes on\n- two\n\n```sh\na\n- b\n```\n") == []


def test_the_readme_is_short() -> None:
    """A reader sees what the package is, and the ten questions, within 160 lines."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") < 160
    questions = re.findall(r"^## (.*\?)$", text, re.MULTILINE)
    assert len(questions) == 10
    for section in re.split(r"^## .*\?$", text, flags=re.MULTILINE)[1:]:
        lines = section.partition("```")[0].strip().splitlines()
        assert 2 <= len(lines) <= 5, section
        assert "```python" in section, section


def test_the_folders_hold_one_kind_of_page_each() -> None:
    """Tutorial, how-to, reference and explanation are apart, in the folders and in the navigation."""
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    places = re.split(r"^  - ([\w-]+):", config.partition("\nnav:")[2].partition("\nplugins:")[0], flags=re.MULTILINE)
    tabs = dict(zip(places[1::2], places[2::2], strict=True))
    folders = {
        "Tutorial": {"tutorial"},
        "How-to": {"how-to", "recipes"},
        "Reference": {"api", "reference"},
        "Explanation": {"explanation"},
    }
    for tab, allowed in folders.items():
        used = {Path(page).parts[0] for page in re.findall(r"([\w/-]+\.md)\b", tabs[tab])}
        assert used - {"versions.md", "benchmarks"} <= allowed, tab
