"""README.md and docs/: what can be run is run, and what is named is there."""

from __future__ import annotations

import ast
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from support.docs_pages import ROOT, Block, blocks_of, clinics_for, pages, run_program, run_snippets
from typer.main import get_command

from arzamed_async import __version__, load_clinics
from arzamed_async.cli.app import app

#: Pages whose blocks need more than the harness gives, and the test that runs them.
ELSEWHERE = {
    "docs/explanation/comparison.md": "tests/recipes/test_comparison.py",
    "docs/how-to/observability.md": "tests/docs/test_observability_page.py",
    **{f"docs/recipes/{page.name}": "tests/recipes/test_pages.py" for page in (ROOT / "docs/recipes").glob("*.md")},
    "docs/how-to/dask.md": "tests/stores/shared/test_sharing_pages.py",
    "docs/how-to/proxies.md": "tests/docs/test_proxies_page.py",
    "docs/how-to/redis.md": "tests/stores/shared/test_sharing_pages.py",
    "docs/how-to/testing.md": "tests/testing/test_plugin.py",
    "docs/how-to/unpublished-endpoints.md": "tests/docs/test_endpoints_page.py",
    "docs/how-to/web-apps.md": "tests/web/test_web_apps_page.py",
    "docs/tutorial/fastapi-page.md": "tests/recipes/test_tutorial.py",
}

BLOCKS = {page: blocks_of(page) for page in pages()}
PYTHON = {
    page: [block for block in blocks if block.language == "python" and block.no_run is None]
    for page, blocks in BLOCKS.items()
    if page not in ELSEWHERE
}
PROGRAMS = [block for blocks in PYTHON.values() for block in blocks if block.is_program]
SNIPPETS = {
    page: snippets
    for page, blocks in PYTHON.items()
    if (snippets := [block for block in blocks if not block.is_program])
}
TEXT = {page: (ROOT / page).read_text(encoding="utf-8") for page in pages()}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder for a page's files, current while the test lasts; what the page puts into the environment goes again."""
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ):
        yield tmp_path


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_each_program_of_the_docs_runs_as_it_stands(block, tmp_path):
    """A program ends well, without a word on stderr, and prints what the page shows."""
    run_program(block, clinics_for(block, BLOCKS[block.page]), tmp_path)


@pytest.mark.asyncio
@pytest.mark.parametrize("page", SNIPPETS)
async def test_the_snippets_of_each_page_run_in_order(page, place):
    """The shorter pieces of a page run one after the other, and print what the page shows."""
    snippets = SNIPPETS[page]
    await run_snippets(snippets, clinics_for(snippets[0], BLOCKS[page]), place)


def test_every_python_block_is_run_or_says_why_not():
    """No block is left out in silence: it is run here, by the page's own test, or a comment gives the reason."""
    run = len(PROGRAMS) + sum(map(len, SNIPPETS.values()))
    excused = [block for blocks in BLOCKS.values() for block in blocks if block.no_run is not None]
    elsewhere = sum(
        TEXT[page].count("```python") - sum(each.no_run is not None for each in BLOCKS[page]) for page in ELSEWHERE
    )
    assert all(len(block.no_run or "") >= 10 for block in excused), "a reason is more than a word"
    assert run + elsewhere + len(excused) == sum(text.count("```python") for text in TEXT.values())
    assert run > 10
    for page, blocks in BLOCKS.items():
        assert {block.language for block in blocks} <= {"python", "toml", "sh", "text", "promql", "json"}, page


def test_a_page_with_a_test_of_its_own_is_read_by_that_test():
    """The test that is said to run a page's blocks reads that page."""
    for page, test in ELSEWHERE.items():
        if not page.startswith("docs/recipes/"):  # tests/recipes/test_pages.py holds that each of these has its test
            assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("block", [b for blocks in BLOCKS.values() for b in blocks if b.language == "toml"], ids=str)
def test_each_toml_block_is_toml_and_each_clinics_file_loads(block, tmp_path):
    """A clinics file that a page shows is one that load_clinics takes."""
    if "clinics" in tomllib.loads(block.code):
        (tmp_path / "clinics.toml").write_text(block.code, encoding="utf-8")
        assert load_clinics(tmp_path / "clinics.toml")


_ARZAMED = r"arzamed (?P<rest>(?:-?-?[A-Za-z])[^|&;#<>\n`]*)"


def commands() -> list[str]:
    """Return what follows `arzamed` wherever a page prints a command: in a sh or text block, or in a line of text."""
    used: set[str] = set()
    for page, blocks in BLOCKS.items():
        for block in blocks:
            if block.language in ("sh", "text"):
                lines = block.code.replace("\\\n", " ")
                used.update(
                    each["rest"] for each in re.finditer(rf"(?:^|&& |[ =]\S*/bin/){_ARZAMED}", lines, re.MULTILINE)
                )
        used.update(each["rest"] for each in re.finditer(rf"`{_ARZAMED}[^`\n]*`", TEXT[page]))
    return sorted({each.replace("…", "").strip() for each in used})


def misused(command: str) -> str:
    """Return what the command line would not understand; empty if it is a command with its own options and arguments."""
    group = get_command(app)
    name, *words = shlex.split(command)
    if name.startswith("-"):  # an option of the group, or one that stands for several commands
        groups = [group, *group.commands.values()]
        return (
            "" if any(name in parameter.opts for each in groups for parameter in each.params) else f"no option {name}"
        )
    if name == "COMMAND":
        return ""
    if name not in group.commands:
        return f"no command {name}"
    found = group.commands[name]
    context = found.make_context(name, [], resilient_parsing=True)  # an argument may be required
    context.resilient_parsing = False
    try:
        _, rest, _ = found.make_parser(context).parse_args(words)
    except Exception as error:  # noqa: BLE001 - click's own, whichever package has it
        return "" if type(error).__name__ == "BadOptionUsage" else str(error)  # a text may leave the value out
    return f"no argument {rest[0]}" if rest else ""


@pytest.mark.parametrize("command", commands())
def test_each_command_of_the_docs_is_one_that_the_command_line_takes(command):
    """`arzamed` has each command that a page prints, with the options and arguments that it has there."""
    assert misused(command) == ""


def test_a_wrong_command_is_found():
    """An unknown command, an unknown option and an argument too much are not taken. A value may be left out, as texts do."""
    assert misused("check --clinic milano") == ""
    for command in ("checks", "token MILANO", "check --no-such-option"):
        assert misused(command), command
    assert "doctors --rate 50" in commands()
    assert "check --clinic CLINIC" in commands()


def test_what_the_docs_tell_to_install_and_to_run_is_there():
    """Every extra and every nox session that a page names is one of the project's."""
    words = "\n".join(TEXT.values())
    extras = {each for names in re.findall(r"(?:arzamed-async|\.)\[([\w,]+)\]'", words) for each in names.split(",")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extras
    assert extras <= project["optional-dependencies"].keys()
    named = {each for line in re.findall(r"nox -s ([a-z ]+)", words) for each in line.split()[:1]}
    functions = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body
    sessions = {each.name for each in functions if isinstance(each, ast.FunctionDef) and each.decorator_list}
    assert named
    assert named <= sessions


def test_the_newest_entry_of_the_changelog_is_the_version_of_the_package():
    """The version stands in one place; CHANGELOG.md has an entry with a date for it, and older ones below."""
    released = re.findall(r"^## \[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d$", TEXT["CHANGELOG.md"], re.MULTILINE)
    versions = [tuple(map(int, numbers)) for numbers in released]
    now = tuple(map(int, re.findall(r"\d+", __version__)))
    assert versions == sorted(versions, reverse=True)
    assert versions[:1] == [now]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]


def test_the_page_on_versions_says_what_the_metadata_says():
    """docs/versions.md and README call the same version a beta as the package's classifiers do."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [each for each in project["classifiers"] if each.startswith("Development Status")] == [
        "Development Status :: 4 - Beta"
    ]
    assert f"**{__version__} is the first release, and beta**" in TEXT["docs/versions.md"]
    assert f"This is {__version__}, a beta" in TEXT["README.md"]


@pytest.mark.parametrize("page", [page for page in TEXT if "/" not in page])
def test_links_of_the_pages_beside_the_code_lead_to_files(page):
    """Relative links of README.md and its like lead somewhere; those of docs/ are checked when the site is built."""
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", TEXT[page]):
        assert (ROOT / link).exists(), link


@pytest.mark.asyncio
async def test_a_snippet_that_fails_or_prints_something_else_is_found(place):
    """The harness tells a good page from one whose code raises, prints other words, or warns."""
    for code, error in [
        ("print(1 + 2)", None),
        ("print(1 + 3)", AssertionError),
        ("await session.clinic(credentials).doctors.list()", NameError),  # a page shows where its names come from
        ("import warnings; warnings.warn('old')", UserWarning),
    ]:
        block = Block("page.md", 1, "python", code, prints="3\n" if "print" in code else None)
        if error is None:
            await run_snippets([block], clinics_for(block, []), place)
        else:
            with pytest.raises(error):
                await run_snippets([block], clinics_for(block, []), place)


def test_a_block_knows_its_comments_its_line_and_what_it_prints():
    """Comments directly before a block belong to it; a text block directly behind it is its output."""
    text = (
        "# Page\n\n<!-- given: fake.fail(503) -->\n<!-- no run: needs a cluster -->\n```python\nmain()\n```\n\n"
        "```text\n3 doc…\n```\n\nAnd:\n\n<!-- no run: other -->\nProse.\n\n```python\npass\n```\n"
    )
    first, shown, second = blocks_of("page.md", text)
    assert (first.line, first.given, first.no_run, first.prints) == (5, "fake.fail(503)", "needs a cluster", "3 doc…\n")
    assert shown.language == "text"
    assert (second.given, second.no_run, second.prints) == ("", None, None)
