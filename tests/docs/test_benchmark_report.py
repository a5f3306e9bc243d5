"""The benchmarks' report says what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "benchmarks"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from tools import tables

    yield tables
    del sys.modules["tools.tables"], sys.modules["tools"]


def test_the_tables_are_those_of_the_figures(tables) -> None:
    """Each table of the report is what `benchmarks/report.py` makes of the JSON beside it: nobody has written in it."""
    text = (REPORT / "README.md").read_text(encoding="utf-8")
    assert tables.filled(text, REPORT) == text


def test_every_benchmark_is_in_the_report(tables) -> None:
    """Whatever has written figures has a table of them in the report."""
    text = (REPORT / "README.md").read_text(encoding="utf-8")
    written = {path.stem for path in REPORT.glob("*.json")}
    assert written <= {benchmark for name, (benchmark, _) in tables.TABLES.items() if f"<!-- table: {name} -->" in text}


def test_prose_is_left_as_it_is(tables, tmp_path: Path) -> None:
    """Only what stands between a table's marks is written anew; figures that are not there yet are said not to be."""
    text = "Before.\n<!-- table: dask_fan_out -->\nold\n<!-- end -->\nBehind.\n"
    empty = "Before.\n<!-- table: dask_fan_out -->\nNot measured yet.\n<!-- end -->\nBehind.\n"
    assert tables.filled(text, tmp_path) == empty
    facts = {"python": "3.11.0", "cpu": "Inventata", "system": "None", "commit": "abc"}
    seconds = {"one process": {"median": 2.0, "min": 1.0, "max": 3.0}}
    (tmp_path / "dask_fan_out.json").write_text(json.dumps({"facts": facts, "seconds": seconds}))
    filled = tables.filled(text, tmp_path)
    assert filled.startswith("Before.\n<!-- table: dask_fan_out -->\n| way | seconds |\n")
    assert "| one process | 2.00 (1.00 to 3.00) |" in filled
    assert filled.endswith("<!-- end -->\nBehind.\n")
