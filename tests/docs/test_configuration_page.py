"""docs/reference/configuration.md: every environment variable, policy and key of the clinics file, as the package has them."""

from __future__ import annotations

import ast
import re

import attrs
import pytest
from support.docs_pages import ROOT
from support.sources import ALL_FILES, PACKAGE, tree_of

import arzamed_async
from arzamed_async import clinics_file

PAGE = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
#: The modules that read the environment, and the variables that they, or what they call, read.
READS = {
    "_http/proxies.py": {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"},
    "_logs/setup.py": {"ARZAMED_LOG"},
    "cli/excel.py": {"LC_ALL", "LC_NUMERIC", "LANG"},
    "cli/messages.py": {"COLUMNS"},
    "cli/options.py": {"ARZAMED_CLINICS"},
    "cli/session.py": {"ARZAMED_TOKEN_DIR"},
    "cli/sources.py": {"ARZAMED_CLIENT_ID", "ARZAMED_CLIENT_SECRET", "ARZAMED_TOKEN_URL"},
    "cli/verbose.py": {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"},
    "credentials.py": {"ARZAMED_NAME", "ARZAMED_SCOPE"},
}
#: Read by libraries: OpenSSL, platformdirs, rich.
OTHERS = {"SSL_CERT_FILE", "SSL_CERT_DIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "NO_COLOR"}
_USE = re.compile(r"\bos\.environ\b|\bgetenv\b|\benvvar=")
EXPORTS = re.compile(r"^__all__ = \[.*?\]", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"ARZAMED_[A-Z_]+[A-Z]|[A-Z]+_[A-Z_]+")


def table(heading: str) -> list[list[str]]:
    """Return the rows of a section's table."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def documented() -> set[str]:
    """Return the variables that the page lists."""
    return {name for row in table("Environment variables") for name in re.findall(r"`([A-Z][A-Z_]+)`", row[0])}


def test_the_modules_that_read_the_environment_are_known() -> None:
    """A module that begins to read the environment fails here, until its variables are on the page."""
    using = {
        path.relative_to(PACKAGE).as_posix() for path in ALL_FILES if _USE.search(path.read_text(encoding="utf-8"))
    }
    assert using == set(READS)


def test_the_page_lists_each_variable_and_no_other() -> None:
    """The table has the variables that the package and its libraries read."""
    assert documented() == set().union(OTHERS, *READS.values())


@pytest.mark.parametrize("module", READS)
def test_no_name_in_such_a_module_is_missing(module: str) -> None:
    """Each text in a module that reads the environment that looks like a variable's name is on the page."""
    texts = {
        node.value
        for node in ast.walk(tree_of(PACKAGE / module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    exported = {
        text for text in texts if f'"{text}"' in EXPORTS.findall((PACKAGE / module).read_text(encoding="utf-8"))[0]
    }
    texts -= exported
    prefix = "ARZAMED_" if module == "credentials.py" else ""
    names = {prefix + text for text in texts if _NAME.fullmatch(text) and text != prefix}
    assert names <= documented() | {"ARZAMED_READ_SCOPE"}


def test_every_name_of_the_package_s_own_is_listed() -> None:
    """No source names a variable ARZAMED_... that the page does not have."""
    named = {
        name for path in ALL_FILES for name in re.findall(r"ARZAMED_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
    assert named <= documented()


def test_the_table_of_policies_has_every_default_with_its_unit() -> None:
    """Each field of each policy is a row, with its present default; a number has a unit."""
    shown = {row[1].strip("`"): (row[2], row[3]) for row in table("Policies of a session")}
    policies = ("RetryPolicy", "Timeouts", "Limits", "PoolLimits", "TokenPolicy", "PacingPolicy", "BreakerPolicy")
    defaults = {
        f"{name}.{field.name}": field.default
        for name in policies
        for field in attrs.fields(getattr(arzamed_async, name))
    }
    assert set(shown) == set(defaults)
    for name, default in defaults.items():
        written = sorted(default) if isinstance(default, frozenset) else [] if default is None else [default]
        numbers = [float(each.replace(",", "")) for each in re.findall(r"[\d.,]*\d", shown[name][0].replace(", ", " "))]
        assert numbers == [float(each) for each in written], name
        assert re.search(r"[a-z]", shown[name][1]), name


def test_the_keys_of_the_clinics_file_are_those_that_are_read() -> None:
    """The table has each key of a clinic's table, and marks those without which the file does not load."""
    rows = {row[0].strip("`"): row[1] for row in table("The clinics file")}
    assert set(rows) - {"[clinics.NAME]"} == clinics_file._KNOWN
    assert {name for name, required in rows.items() if required == "yes"} == {
        "[clinics.NAME]",
        "client_id",
        "token_url",
    }
    assert {name for name, required in rows.items() if required == "one of three"} == set(clinics_file._SECRETS)
