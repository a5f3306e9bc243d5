"""docs/reference/glossary.md: the words of the pages, in order, each with a meaning."""

from __future__ import annotations

import re

from support.docs_pages import ROOT

import arzamed_async

PAGE = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
WORDS = [names.split(", ") for names in re.findall(r"^\| \*\*(.+?)\*\* \| \S.*\|$", PAGE, re.MULTILINE)]
#: Words that a reader of this field may not know, or may know in another sense.
WANTED = {
    "attempt", "call", "clinic", "credentials", "deadline", "equipe", "event", "fan-out", "fence", "lease", "origin", "outcome", "record",
    "session", "token", "token endpoint", "token store",
}  # fmt: skip


def test_the_glossary_has_the_words_in_order() -> None:
    """Each word that the pages use in a sense of their own is there, and can be found by the alphabet."""
    assert {name for names in WORDS for name in names} >= WANTED
    first = [names[0].lower() for names in WORDS]
    assert first == sorted(first)


def test_the_glossary_names_what_exists() -> None:
    """Each name in code that looks like one of the package's is one, and each of the session's options too."""
    for name in re.findall(r"`([A-Za-z_]+)(?:\.[a-z_]+)?`", PAGE):
        if re.match(r"[A-Z]", name):
            assert hasattr(arzamed_async, name), name
