"""The Python blocks of README.md and the docs as modules for type checkers: `python typed_pages.py FOLDER`.

Each program is a module as it stands, and so is each block of a page that shows applications. The snippets of another page,
which share names, are one coroutine function: a name that the page does not show is an error. Frameworks that are not installed
count as Any.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.docs_pages import Block, blocks_of, pages

__all__ = ["modules_of", "write_pages"]

_APPLICATIONS = re.compile(r"docs/(recipes/(?!notebook)|how-to/web-apps|tutorial/fastapi)")


def modules_of(page: str, blocks: list[Block]) -> dict[str, str]:
    """Return the modules of a page: their source by name. A line that is no Python on its own is a fault of the page."""
    name = re.sub(r"\W+", "_", page.removesuffix(".md")).strip("_").lower()
    python = [block for block in blocks if block.language == "python" and block.no_run is None]
    whole = [block for block in python if block.is_program or _APPLICATIONS.match(page)]
    modules = {f"{name}_{block.line}": block.code for block in whole}
    snippets = [f"# {block}\n{block.code}" for block in python if block not in whole]
    if snippets:
        body = "\n".join(snippets)
        ast.parse(f"async def page():\n{textwrap.indent(body, '    ')}")
        modules[name] = "async def page() -> None:\n" + textwrap.indent(body, "    ")
    return modules


def write_pages(folder: Path) -> int:
    """Write the modules of all pages into a folder, and return how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.py"):
        left.unlink()
    written = {name: code for page in pages() for name, code in modules_of(page, blocks_of(page)).items()}
    settings = {
        "typeCheckingMode": "standard",
        "reportRedeclaration": False,
        "reportMissingImports": False,
        "reportAbstractUsage": False,  # redis-py's RedisCluster declares a property that it sets in its constructor
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    for name, code in written.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return len(written)


if __name__ == "__main__":
    sys.stdout.write(f"{write_pages(Path(sys.argv[1]))} modules\n")
