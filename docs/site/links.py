"""A hook of MkDocs: a link to a file outside docs/ leads to the page that includes it, or becomes plain text.

The files are read on their own, too (README.md, SECURITY.md), so their links are right as they stand there.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from attrs_fields import EXAMPLE

PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "explanation/security.md",
    "examples/clinic_directory/README.md": "how-to/clinic-directory.md",
}
_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")


def inward(markdown: str, source: str) -> str:
    """Return the text of the page `source` (a path below docs/) with its outward links led inward."""
    folder = posixpath.dirname(source)

    def replace(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        if target.startswith("docs/"):
            return link[0]
        if target not in PAGES:
            return link[1]
        return f"[{link[1]}]({posixpath.relpath(PAGES[target], folder or '.')}{link[3] or ''})"

    return _LINK.sub(replace, markdown)


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Be called by MkDocs with each page, after the plugin that includes files."""
    if page.file.src_uri.startswith("api/"):  # the extension shows the example within the section of its name
        markdown = EXAMPLE.sub(r"\g<head>", markdown)
    return inward(markdown, page.file.src_uri)
