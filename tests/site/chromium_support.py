"""What the tests of the site in Chromium share: the pages, a server on loopback, axe-core, and what a page is looked at for."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "build" / "site"
#: The address of each page, below the site's.
PAGES = sorted(page.parent.relative_to(SITE).as_posix() + "/" for page in SITE.rglob("index.html"))
#: A desk, a tablet and a telephone.
WIDTHS = (1280, 768, 390)
SCHEMES = ("light", "dark")
AXE = Path(__file__).parent / "axe"
INSTALL_SECONDS = 300

#: Returns what a reader could not see or use on the page, as sentences.
LOOK = """() => {
  const found = [];
  const root = document.documentElement;
  const start = (element) => `<${element.tagName.toLowerCase()}> ${element.innerText.trim().slice(0, 60)}`;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide, its window ${root.clientWidth}`);
  const article = document.querySelector("article");
  const edge = root.clientWidth + 1;
  for (const each of article.querySelectorAll("table, img, pre, p, li, h1, h2, h3, h4")) {
    const box = each.getBoundingClientRect();
    if (box.width && box.right > edge) found.push(`wider than the page: ${start(each)}`);
  }
  for (const each of document.querySelectorAll("article *, .md-header *, .md-tabs *, .md-footer *, .md-nav .md-ellipsis")) {
    if (each.scrollWidth <= each.clientWidth + 1 || !each.clientWidth) continue;
    const style = getComputedStyle(each);
    if (!["hidden", "clip"].includes(style.overflowX) || style.visibility === "hidden") continue;
    if (each.closest(".md-search, [aria-hidden=true], .headerlink") || !each.innerText?.trim()) continue;
    found.push(`clipped: ${start(each)}`);
  }
  for (const each of article.querySelectorAll("pre > code")) {
    if (!each.parentElement.querySelector("button.md-code__button[data-md-type=copy]")) found.push(`no copy button: ${start(each)}`);
    const hidden = each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "auto";
    if (hidden) found.push(`code that does not scroll: ${start(each)}`);
  }
  return found;
}"""

#: The rules of axe whose outcome depends on colours or on the width: the others say the same of a page in each form.
RULES_OF_FORM = ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]

#: Runs axe on a part of the page, with these rules or with all of them; each violation is a sentence.
RUN_AXE = """async ({ part, rules }) => {
  const found = await axe.run(part, { resultTypes: ["violations"], ...(rules && { runOnly: rules }) });
  return found.violations.map((each) => `${each.id}: ${each.help}: ` + each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | "));
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Write nothing."""


@contextmanager
def serving_site() -> Iterator[str]:
    """Serve the built site on a free port of loopback; give its address, with a slash at the end."""
    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def axe_source() -> str:
    """Return axe-core's script; npm installs the pinned version into an ignored folder where it is missing.

    It is installed elsewhere and moved, so that an installation is whole or absent.
    """
    wanted = json.loads((AXE / "package.json").read_text(encoding="utf-8"))["dependencies"]["axe-core"]
    package = AXE / "node_modules" / "axe-core"
    present = package / "package.json"
    if not present.exists() or json.loads(present.read_text(encoding="utf-8"))["version"] != wanted:
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("axe-core needs npm (Debian: apt-get install npm)")
        with tempfile.TemporaryDirectory(dir=AXE, prefix=".install-") as folder:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(AXE / name, folder)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
            if done.returncode:
                pytest.fail(f"npm ci failed:\n{done.stdout}{done.stderr}")
            shutil.rmtree(AXE / "node_modules", ignore_errors=True)
            Path(folder, "node_modules").rename(AXE / "node_modules")
    return (package / "axe.min.js").read_text(encoding="utf-8")
