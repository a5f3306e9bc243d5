"""How the package is installed: one way, the same in all pages and error texts."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from support.docs_pages import ROOT, pages

from arzamed_async._extras import INSTALL, missing_package

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
#: Extras for work on the project itself, of which CONTRIBUTING.md tells.
FOR_WORK = {"bench", "dev", "docs", "interop", "recipes", "test", "web"}
#: `pip install` up to what is installed, options passed over.
_INSTALL = re.compile(r"pip3? (?:--python \S+ )?install(?: -\w)* (?P<what>'[^']*'|\"[^\"]*\"|[^\s`]+)")
#: Packages of others that a page tells to install.
OTHERS = {"nox", "opentelemetry-sdk"}


def texts() -> dict[str, str]:
    """Return every page, and every module and example that could hold such a text."""
    modules = [*(ROOT / "arzamed_async").rglob("*.py"), *(ROOT / "examples").rglob("*.py"), ROOT / "noxfile.py"]
    names = [*pages(), *(str(path.relative_to(ROOT)) for path in modules)]
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names}


def test_every_install_command_installs_from_a_checkout() -> None:
    """No page and no module tells to install the package by a name under which nothing is published."""
    found = []
    for name, text in texts().items():
        for command in _INSTALL.finditer(text):
            what = command["what"].strip("'\"")
            if what in OTHERS:
                continue
            found.append(name)
            named = re.fullmatch(r"\.(?:\[([a-z,]+|\{extra\})\])?", what)
            assert named is not None, f"{name}: {command[0]}"
            assert named[1] == "{extra}" or set((named[1] or "cli").split(",")) <= EXTRAS, f"{name}: {command[0]}"
    assert {"README.md", "CONTRIBUTING.md", "docs/tutorial/index.md", "arzamed_async/_extras.py"} <= set(found)


def test_one_function_makes_the_text_for_a_missing_package() -> None:
    """No module of the package spells the command itself, and every one names an extra that there is."""
    spelled = [name for name, text in texts().items() if name.startswith("arzamed_async/") and "pip install" in text]
    assert spelled == ["arzamed_async/_extras.py"]
    calls = [call for text in texts().values() for call in re.findall(r'missing_package\("[^"]+", \S+ "(\w+)"\)', text)]
    assert set(calls) == {"cli", "dask", "otel", "parquet"}
    assert set(calls) <= EXTRAS


def test_the_text_names_the_package_and_the_command_of_the_docs() -> None:
    """Who reads the error needs no page: it says what is missing and the command that docs/tutorial/index.md shows."""
    text = missing_package("arzamed", "typer", "cli")
    assert text.startswith("arzamed needs typer, which is not installed")
    command = INSTALL.format(extra="cli")
    assert text.endswith(command)
    assert f"```sh\n{command}\n```" in (ROOT / "docs" / "tutorial" / "index.md").read_text(encoding="utf-8")


def test_the_start_page_lists_each_extra_for_users() -> None:
    """Its table names all extras but those for work on the project."""
    page = (ROOT / "docs" / "tutorial" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == EXTRAS - FOR_WORK


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import arzamed_async.otel", "arzamed_async.otel needs opentelemetry-api"),
        ("from arzamed_async.stores import RedisTokenStore; RedisTokenStore('redis://127.0.0.1')", "needs redis"),
        ("from arzamed_async.dask import fan_out_dask; fan_out_dask(None, [], None)", "fan_out_dask needs distributed"),
        ("from arzamed_async.cli.main import main; main()", "arzamed needs typer"),
    ],
)
def test_a_process_without_an_extra_is_told_how_to_install_it(code: str, words: str) -> None:
    """Whatever is missing, the last line of the process names it and ends in the same command."""
    absent = (
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "gone = {'opentelemetry', 'redis', 'distributed', 'typer'}\n"
        "PathFinder.find_spec = lambda name, *where: None if name in gone else find(name, *where)\n"
    )
    done = subprocess.run([sys.executable, "-c", absent + code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert words in last
    assert re.search(
        r"which is not installed: in a checkout of arzamed_async, python3 -m pip install '\.\[\w+\]'$", last
    )
