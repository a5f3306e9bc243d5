"""All pages of docs/recipes: their form, and the tests that they show, each run by a pytest of its own as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from recipe_pages import PAGES, code_of

ALL = sorted(each.stem for each in PAGES.glob("*.md"))
WITH_TESTS = [name for name in ALL if any(file.startswith("test_") for file in code_of(name))]


@pytest.mark.parametrize("name", ALL)
def test_a_page_has_its_question_first_then_errors_then_a_test(name: str) -> None:
    """A page begins with the question of its reader; its parts on errors and tests are there, in this order."""
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert re.match(r"# [^\n]+\n\n[A-Z][^\n]+\?\n\n", text)
    assert re.findall(r"^## (Errors|In a test)$", text, re.MULTILINE) == ["Errors", "In a test"]


def test_every_page_is_run() -> None:
    """Each page is taken by a test in this folder, and all but two show a test."""
    tests = [each for each in Path(__file__).parent.glob("test_*.py") if each.name != Path(__file__).name]
    source = "".join(each.read_text(encoding="utf-8") for each in tests)
    left = [name for name in ALL if f'"{name}"' not in source]
    assert left == ["aioresponses"]  # that page is a test, and is run below
    assert set(ALL) - set(WITH_TESTS) == {"notebook", "vcrpy"}


@pytest.mark.parametrize("name", WITH_TESTS)
def test_the_test_that_a_page_shows_passes(name: str, tmp_path: Path) -> None:
    """Each test of a page passes in a folder that holds the page's files and a clinics file, with pytest's defaults."""
    for file, code in code_of(name).items():
        (tmp_path / file).write_text(code, encoding="utf-8")
    (tmp_path / "clinics.toml").write_text(
        '[clinics.Roma]\nclient_id = "invented"\nclient_secret_env = "ROMA_SECRET"\n'
        'token_url = "https://auth.invented.example/token"\n',
        encoding="utf-8",
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shown = sum(len(re.findall(r"^(?:async )?def test_", code, re.MULTILINE)) for code in code_of(name).values())
    assert f"{shown} passed" in done.stdout
