"""The pages of docs/recipes and their code, which the tests run as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

__all__ = ["NAMES", "PAGES", "code_of", "import_page"]

PAGES = Path(__file__).parents[2] / "docs" / "recipes"
#: The doctors of Milano.
NAMES = ["Dr. Inventata Milano", "Dr. Finto"]


def code_of(name: str) -> dict[str, str]:
    """Return the modules that a page shows, by the file name in their first line: `app.py`, `test_app.py`."""
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(# (\S+\.py)\n.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return {file: code for code, file in blocks}


def import_page(name: str, monkeypatch: pytest.MonkeyPatch, number: int = 0) -> Any:
    """Execute a page's program, or another of its blocks, as a module. Names that it patches or sets are its own."""
    file, code = list(code_of(name).items())[number]
    module = ModuleType(f"recipe_{name.replace('-', '_')}_{number}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # annotations are looked up there
    exec(compile(code, f"docs/recipes/{name}.md ({file})", "exec"), module.__dict__)
    return module
