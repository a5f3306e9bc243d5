"""The site that `nox -s docs` has built in build/site."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import griffe
import pytest
from mkdocstrings import Inventory

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
PAGES = sorted(SITE.rglob("*.html"))
#: Modules that a user imports by their own names.
EXTRAS = {"dask", "logs", "otel", "stores", "testing"}
LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}


class Loads(HTMLParser):
    """Collects what a page loads, and the classes of its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.classes.update((values.get("class") or "").split())
        if tag in LOADING:
            self.loaded.append(values.get(LOADING[tag]) or "")


def test_there_is_a_site():
    """The session has built pages, among them the start, a guide and the reference."""
    names = {str(page.relative_to(SITE)) for page in PAGES}
    assert {"index.html", "tutorial/index.html", "how-to/many-clinics/index.html", "api/session/index.html"} <= names


@pytest.mark.parametrize("name", ["Tutorial", "How-to", "Reference", "Explanation", "Benchmarks", "Project"])
def test_each_part_of_the_site_has_a_tab(name):
    """The first page leads to each part by a tab; the benchmarks are not hidden behind another part's name."""
    tabs = (SITE / "index.html").read_text(encoding="utf-8").partition('class="md-tabs"')[2].partition("</nav>")[0]
    assert name in [re.sub(r"<[^>]*>", "", tab).strip() for tab in re.findall(r"<a .*?</a>", tabs, re.DOTALL)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_a_page_loads_nothing_from_elsewhere(page):
    """Fonts, scripts, styles and pictures are the site's own files: it can be read without a network."""
    loads = Loads()
    loads.feed(page.read_text(encoding="utf-8"))
    assert [url for url in loads.loaded if re.match(r"(\w+:)?//", url)] == []
    assert "mermaid" not in loads.classes  # the theme would fetch a script for it


def test_no_style_sheet_loads_anything_from_elsewhere():
    """The theme's style sheets have no font and no picture of another server's."""
    sheets = sorted(SITE.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", sheet.read_text(encoding="utf-8")) == []


def test_every_public_name_is_in_the_reference():
    """Each name that a user may import has a place in the reference, under the path by which it is imported."""
    inventory = Inventory.parse_sphinx(BytesIO((SITE / "objects.inv").read_bytes()))
    package = griffe.load("arzamed_async", search_paths=[str(ROOT)])  # read, not imported: extras need not be installed
    modules = [package, *(each for name, each in package.modules.items() if name in EXTRAS)]
    public = [f"{module.path}.{name}" for module in modules for name in module.exports or () if name != "__version__"]
    assert len(public) > 70
    assert [name for name in public if name not in inventory] == []


def test_the_reference_shows_defaults_and_the_signature_of_a_session():
    """A policy's field shows its default, not attrs' `field(...)`; a session shows what it takes."""
    policies = text(SITE / "api" / "policies" / "index.html")
    assert "max_attempts int 4 attempts" in policies
    assert "field(default" not in policies
    assert "token_store: TokenStore | None = None" in text(SITE / "api" / "session" / "index.html")


def test_links_of_files_outside_docs_lead_to_the_pages_that_hold_them():
    """README's link to SECURITY.md leads to the page Security; a link to a file that is on no page is plain text."""
    assert '<a href="explanation/security/">The threat model</a>' in (SITE / "index.html").read_text(encoding="utf-8")
    security = (SITE / "explanation" / "security" / "index.html").read_text(encoding="utf-8")
    assert "tests/observers/test_tracebacks.py" in security
    assert "../tests/" not in security
    assert re.search(r'<a href="(?!http)[^"]*\.md[#"]', security) is None


def text(page: Path) -> str:
    """Return a page's text without its tags."""
    parser = HTMLParser()
    parts: list[str] = []
    parser.handle_data = parts.append  # type: ignore[method-assign]
    parser.feed(page.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", "".join(parts))


def test_the_fault_matrix_is_whole_without_scripts():
    """Each fault is a row that shows without JavaScript; the filter is a script of the site's own, which adds its field."""
    page = (SITE / "reference" / "fault-matrix" / "index.html").read_text(encoding="utf-8")
    written = (ROOT / "docs" / "reference" / "fault-matrix.md").read_text(encoding="utf-8")
    faults = len(re.findall(r"^\| (?!fault \|)", written, re.MULTILINE))
    assert faults > 400
    assert page.partition("<article")[2].partition("</article>")[0].count("<tr>") == faults + page.count("<thead>")
    assert "<tr hidden" not in page
    assert 'id="filter"' not in page
    assert 'src="../../pictures/filter.js"' in page
