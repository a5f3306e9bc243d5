"""The benchmarks' report states what was measured."""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the benchmarks' modules importable, and forget them after the test: their names are plain."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"rivals", "servers", "tools"}:
            del sys.modules[name]


@pytest.fixture
def tables(benchmarks: None) -> ModuleType:
    return import_module("tools.tables")


def test_the_tables_are_those_of_the_figures(tables) -> None:
    """Each table of the report is what `benchmarks/report.py` makes of the JSON beside it: nobody has edited it."""
    for page in REPORT.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert tables.filled(text, REPORT) == text, page.name


def test_every_benchmark_is_in_the_report(tables) -> None:
    """Each benchmark that has written figures has a table of them in the report."""
    text = "".join(page.read_text(encoding="utf-8") for page in REPORT.glob("*.md"))
    written = {path.stem for path in REPORT.glob("*.json")}
    assert written <= {benchmark for name, (benchmark, _) in tables.TABLES.items() if f"<!-- table: {name} -->" in text}


def test_prose_is_left_as_it_is(tables, tmp_path: Path) -> None:
    """Only the text between a table's marks is replaced; a table without figures states that nothing is measured yet."""
    text = "Before.\n<!-- table: dask_fan_out -->\nold\n<!-- end -->\nAfter.\n"
    empty = "Before.\n<!-- table: dask_fan_out -->\nNot measured yet.\n<!-- end -->\nAfter.\n"
    assert tables.filled(text, tmp_path) == empty
    facts = {"python": "3.11.0", "cpu": "Inventata", "system": "None", "commit": "abc"}
    seconds = {"one process": {"median": 2.0, "min": 1.0, "max": 3.0}}
    (tmp_path / "dask_fan_out.json").write_text(json.dumps({"facts": facts, "seconds": seconds}))
    filled = tables.filled(text, tmp_path)
    assert filled.startswith("Before.\n<!-- table: dask_fan_out -->\n| way | seconds |\n")
    assert "| one process | 2.00 (1.00 to 3.00) |" in filled
    assert filled.endswith("<!-- end -->\nAfter.\n")


def test_each_http_client_is_measured_in_the_version_that_is_required(benchmarks: None) -> None:
    """The table of HTTP clients has each client at each number of callers, in the version of requirements.txt."""
    clients = import_module("rivals.clients").CLIENTS
    text = (ROOT / "benchmarks" / "rivals" / "clients" / "requirements.txt").read_text(encoding="utf-8")
    required = dict(line.split("==") for line in text.splitlines() if "==" in line)
    assert set(required) == {distribution for _, distributions in clients.values() for distribution in distributions}
    report = json.loads((REPORT / "http_clients.json").read_text(encoding="utf-8"))
    assert {name: report["facts"][name] for name in required} == required
    measured = {(row["client"], row["callers"]) for row in report["rows"]}
    names = {"aiohttp, expert", "arzamed_async", *clients}
    assert measured == {(name, callers) for name in names for callers in (1, 32, 128)}


def test_each_form_of_a_response_holds_the_same_doctors(benchmarks: None) -> None:
    """The forms that the report names are what it calls them: in chunks, a head of 450 bytes, gzip, 200 records."""
    server = import_module("servers.requests")
    plain = server.GOOD.partition(b"\r\n\r\n")[2]
    parts = {name: whole.partition(b"\r\n\r\n") for name, whole in server.RESPONSES.items()}
    heads = {name: head + end for name, (head, end, _) in parts.items()}
    bodies = {name: body for name, (_, _, body) in parts.items()}
    size, _, rest = bodies[b"chunked"].partition(b"\r\n")
    assert b"Transfer-Encoding: chunked" in heads[b"chunked"]
    assert (int(size, 16), rest) == (len(plain), plain + b"\r\n0\r\n\r\n")
    assert (len(heads[b"head"]), bodies[b"head"]) == (450, plain)
    assert (b"Content-Encoding: gzip" in heads[b"gzip"], gzip.decompress(bodies[b"gzip"])) == (True, plain)
    many = json.loads(bodies[b"many"])
    assert (len(many), many[:20]) == (200, json.loads(plain))
    for name in (b"head", b"gzip", b"many"):
        assert re.search(rb"Content-Length: %d\r\n" % len(bodies[name]), heads[name])


def test_what_the_lanes_cost_is_what_the_pages_state() -> None:
    """Against hand-written aiohttp, a small call takes half the CPU time in the direct lane, and in the ordinary one a tenth
    more, a fifth more with a proxy, and a quarter more with trust_env=True: all within the noise of a busy machine.
    """
    figures = json.loads((REPORT / "request_path.json").read_text(encoding="utf-8"))["figures"]
    times = {name: 1 / each["cpu"]["median"] for name, each in figures.items()}
    assert times["direct lane, 32 callers"] == pytest.approx(0.5, abs=0.05)
    assert times["ordinary lane (http=), 32 callers"] == pytest.approx(1.1, abs=0.15)
    assert times["ordinary lane (proxy=), 32 callers"] == pytest.approx(1.2, abs=0.15)
    assert times["ordinary lane (trust_env=True), 32 callers"] == pytest.approx(1.25, abs=0.15)


def test_inference_is_within_its_limits() -> None:
    """Inference has at least half the speed of `stream()`, and over a million records memory grows by less than 8 MiB."""
    report = json.loads((REPORT / "inference.json").read_text(encoding="utf-8"))
    assert all(row["times_stream"]["median"] <= 2 for row in report["times"] if row["way"].startswith("infer"))
    assert {(row["kind"], row["records"]) for row in report["memory"]} == {
        ("doctors", 1_000_000),
        ("people", 1_000_000),
    }
    assert all(row["peak_mib"] < 8 for row in report["memory"])
