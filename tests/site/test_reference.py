"""The reference of the site that `nox -s docs` has built: each public name with its tables, texts and example."""

from __future__ import annotations

import ast
import html
import re
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import griffe
import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
sys.path.insert(0, str(ROOT / "docs" / "site"))

from attrs_fields import EXTRAS, fields_of, is_attrs, is_number, parameters_of, public_objects, unit_of  # noqa: E402

#: Read, not imported: extras need not be installed. The extension is not used here: the site is held against the sources.
PACKAGE = griffe.load("arzamed_async", search_paths=[str(ROOT)])
OBJECTS: dict[str, Any] = dict(public_objects(PACKAGE))
CLASSES = {path: obj for path, obj in OBJECTS.items() if obj.is_class}
#: Classes whose objects the package makes: their constructors are no part of the reference.
MADE = {"Clinic", "Resource", "RecordStream", "FanOut", "Merge", "DaskFanOut", "Headers", "InferredModel"}
_HEADING = re.compile(r'<h([1-6]) id="([^"]+)"')
_CHECKS = {"kinds", "function", "positive_seconds", "number", "check_client"}


@cache
def sections() -> dict[str, str]:
    """Return the part of the built pages after each heading of the reference, up to the next."""
    found = {}
    for page in sorted((SITE / "api").rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        starts = [(match.start(), match[2]) for match in _HEADING.finditer(text)] + [(len(text), "")]
        for (start, name), (end, _) in pairwise(starts):
            found[name] = text[start:end]
    return found


def rows(section: str, *heads: str) -> dict[str, list[str]]:
    """Return the rows of the tables with one of these first headings, by their first cell, as text."""
    found = {}
    for table in re.findall(r"<table[^>]*>.*?</table>", section, re.DOTALL):
        lines = [
            [
                html.unescape(re.sub(r"<[^>]*>|\u200b|&#8203;|&shy;", "", cell)).strip()
                for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL)
            ]
            for line in re.findall(r"<tr[^>]*>.*?</tr>", table, re.DOTALL)
        ]
        if lines and lines[0][0] in heads:
            found.update({line[0]: line for line in lines[1:]})
    return found


def held(section: str, wanted: list[Any], *heads: str) -> list[str]:
    """Return what the tables of a section lack: a row, a type, a unit or a meaning."""
    shown = rows(section, *heads)
    missing = [f"{name}: no row" for name, *_ in wanted if name not in shown]
    for name, kind, _, _ in wanted:
        cells = shown.get(name, [name, kind, "."])
        if not kind or cells[1].replace(" ", "") != kind.replace(" ", ""):
            missing.append(f"{name}: type {cells[1]}, not {kind}")
        if not re.search(r"\w.*\.\)?$", cells[-1]) or cells[-1] in {name, kind}:
            missing.append(f"{name}: no sentence")
        if is_number(kind) and unit_of(name, kind) not in cells[2:-1]:
            missing.append(f"{name}: no unit")
        if is_number(kind) and not unit_of(name, kind):
            missing.append(f"{name}: its name gives no unit")
    return missing


def functions() -> dict[str, Any]:
    """Return the public functions, and those methods that the reference shows, by the path of their heading."""
    found = {path: obj for path, obj in OBJECTS.items() if obj.is_function}
    for path, cls in CLASSES.items():
        for base in (cls, *bases(cls)):
            for name, member in base.members.items():
                heading = f"{base.canonical_path}.{name}"
                names = [each for each in (f"{path}.{name}", heading) if each in sections()]
                if member.is_function and names:
                    found[names[0]] = member
    return found


def bases(cls: griffe.Class) -> list[griffe.Class]:
    """Return the classes of the package that a class is made of."""
    found = []
    for each in cls.resolved_bases:
        target = each.final_target if each.is_alias else each
        if target.is_class and target.path.startswith("arzamed_async."):
            found += [target, *bases(target)]
    return found


@pytest.mark.parametrize("path", CLASSES)
def test_a_class_has_its_table_and_an_example(path: str) -> None:
    """Each parameter and attribute of a class has a row with type, unit and a sentence; each class has a block of code."""
    cls, section = CLASSES[path], sections()[path]
    heads = ("parameters and attributes", "parameters", "attributes")
    assert held(section, fields_of(cls), *heads) == []
    made = cls.name in MADE or is_attrs(cls) or issubclass_of_error(cls) or "__init__" not in cls.members
    assert held(section, [] if made else parameters_of(cls), *heads) == []
    assert '<div class="highlight">' in section or 'class="language-' in section, "no example"


def issubclass_of_error(cls: griffe.Class) -> bool:
    """Return whether the class is one of the errors, which the package raises."""
    return cls.name == "ArzamedError" or any(base.name == "ArzamedError" for base in bases(cls))


@pytest.mark.parametrize("path", functions())
def test_a_function_has_its_table(path: str) -> None:
    """Each parameter of a function has a row with type, unit and a sentence."""
    assert held(sections()[path], parameters_of(functions()[path]), "parameters") == []


def raises(function: Any) -> bool:
    """Return whether a function raises in its own lines, calls a check of arguments, or sends a request."""
    source = "\n".join(
        function.filepath.read_text(encoding="utf-8").splitlines()[function.lineno - 1 : function.endlineno]
    )
    tree = ast.parse(re.sub(r"^( *)", "", source, count=1) if source[:1] != " " else f"if True:\n{source}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" not in ast.unparse(node.exc):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CHECKS:
            return True
    return function.parent.name in {"Resource", "Clinic"} and function.name != "aclose"


@pytest.mark.parametrize("path", [path for path, function in functions().items() if raises(function)])
def test_a_function_that_raises_says_what(path: str) -> None:
    """A function that raises, checks its arguments or sends a request has a table of what it raises, each with its reason."""
    shown = rows(sections()[path], "raises")
    assert shown
    assert [name for name, cells in shown.items() if not re.search(r"\w", cells[-1])] == []


def test_every_method_is_shown() -> None:
    """Each public method of a class has a heading in the reference; those of helpers that a class is made of where users call them."""
    own = [
        f"{path}.{name}"
        for path, cls in CLASSES.items()
        for name, member in cls.members.items()
        if member.is_function and not name.startswith("_")
    ]
    assert len(own) > 70
    assert [path for path in own if path not in sections()] == []
    shared = ("limit_rate", "fail", "script", "assert_requested", "token_requests", "wait_until_idle")
    assert [name for name in shared if not any(path.endswith(f".{name}") for path in sections())] == []


def test_no_row_repeats_its_name() -> None:
    """Nothing is shown as `clinic = clinic`."""
    for name, section in sections().items():
        if name.startswith("arzamed_async"):
            assert not re.search(r"^\s*(\w+) = \1\s*$", re.sub(r"<[^>]*>", "", section), re.MULTILINE), name


def test_the_extension_knows_the_modules_that_users_import() -> None:
    """Each of the package's public modules with names of their own is in the reference."""
    own = {path.parent.name for path in (ROOT / "arzamed_async").glob("[a-z]*/__init__.py")}
    assert own - {"cli"} == set(EXTRAS)
