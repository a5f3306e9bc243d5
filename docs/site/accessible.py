"""A hook of MkDocs: what the theme leaves out for people who use a keyboard, a screen reader or a narrow window.

Tests in Chromium hold the result (tests/site/test_chromium.py): axe finds no violation, and no table is wider than its page.
"""

from __future__ import annotations

import re

#: From this number of columns on, a table does not fit on a telephone: each row becomes a card there.
WIDE = 4
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_HEAD = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_ROW = re.compile(r"<tr>.*?</tr>", re.DOTALL)
#: The theme's label that opens a section of the navigation: where the section has a page of its own, it holds only a picture.
_UNNAMED = re.compile(r'(<label class="md-nav__link\b[^>]*)>(\s*<span class="md-nav__icon md-icon"></span>\s*</label>)')


def named_cells(html: str) -> str:
    """Return the page with the name of its column on each cell of a wide table, which the style sheet shows."""

    def name(table: re.Match[str]) -> str:
        head, _, body = table[0].partition("</thead>")
        columns = [re.sub(r"<[^>]*>", "", column) for column in _HEAD.findall(head)]
        if len(columns) < WIDE:
            return table[0]

        def row(found: re.Match[str]) -> str:
            names = iter(columns)
            return re.sub(r"<td\b", lambda _: f'<td data-column="{next(names, "")}"', found[0])

        return head.replace("<table>", '<table data-wide="">') + "</thead>" + _ROW.sub(row, body)

    return _TABLE.sub(name, html)


def on_page_content(html: str, page, config, files) -> str:
    """Be called by MkDocs with the content of each page, before it is put into the theme's frame."""
    return named_cells(html)


def on_post_page(output: str, page, config) -> str:
    """Be called by MkDocs with each whole page: name the search dialog, and the labels that hold a picture only."""
    output = output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )
    return _UNNAMED.sub(r'\1 aria-label="Pages of this section">\2', output)
