"""No page is harder to read than its bound: tests/support/readability.py has the measure, and prints the table of all pages."""

from __future__ import annotations

import pytest
from support.docs_pages import ROOT, pages
from support.readability import LONG_WORDS, long_sentences, reading_of, sentences_of

#: A quality newspaper has 40; a text on OAuth that stays below it has short sentences.
MOST_LIX = 40
#: Two long sentences a page, or one in twenty, may stand: an example list, a definition.
MOST_LONG, MOST_LONG_PERCENT = 2, 5
#: With fewer sentences than this, one long word moves LIX by a point.
FEW = 10
#: Pages above the bound: the most long sentences in percent, and why. There are none now.
ALLOWED: dict[str, tuple[int, str]] = {}
#: What includes another file, which is measured where it stands.
PAGES = [page for page in pages() if "include-markdown" not in (ROOT / page).read_text(encoding="utf-8")]


def text_of(page: str) -> str:
    """Return the page; of CHANGELOG what is not released, since the rest is history."""
    return (ROOT / page).read_text(encoding="utf-8").partition("\n## [0.1.0]")[0]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_stays_within_its_bound(page: str) -> None:
    """LIX is that of a newspaper or easier, and few sentences are so long that they are read twice."""
    text = text_of(page)
    reading = reading_of(text)
    if reading is None:
        return
    percent = ALLOWED.get(page, (MOST_LONG_PERCENT, ""))[0]
    if reading.long_sentences > MOST_LONG:
        assert reading.long_percent <= percent, "\n".join(long_sentences(text))
    if reading.sentences >= FEW:
        assert reading.lix <= MOST_LIX


def test_each_exception_is_needed() -> None:
    """A page is excused with a reason, and only while it is above the bound."""
    for page, (percent, reason) in ALLOWED.items():
        reading = reading_of(text_of(page))
        assert reading is not None
        assert reading.long_percent > MOST_LONG_PERCENT, page
        assert percent < reading.long_percent + 4, page
        assert len(reason) > 10


def test_the_measure_counts_what_a_person_reads() -> None:
    """Blocks, comments, targets of links and labels of tables do not count; an item of a list is a text of its own."""
    text = """# A heading

A sentence with a [link to a page](https://example.com/long/path). `Code` begins another short one.

<!-- A comment that nobody reads counts nothing. -->
```python
print("and neither does a block of code in a page")
```

- an item is a text of its own
- and so is the next one

| label | a cell with a few words |
"""
    assert sentences_of(text) == [
        "A sentence with a [link to a page].",
        "Code begins another short one.",
        "an item is a text of its own",
        "and so is the next one",
        "a cell with a few words",
    ]
    long = " ".join(["word"] * (LONG_WORDS + 1))
    assert long_sentences(f"{long}. Short ones are not found here.") == [f"{long}."]
    reading = reading_of(f"{long}.")
    assert reading is not None
    assert reading.lix == LONG_WORDS + 1
