"""docs/how-to/throughput.md: each measured figure is one of the benchmarks' report."""

from __future__ import annotations

import re

from support.docs_pages import ROOT

PAGE = (ROOT / "docs/how-to/throughput.md").read_text(encoding="utf-8")
REPORT = (ROOT / "docs/benchmarks/README.md").read_text(encoding="utf-8")
#: A figure of the page, and the cell of the report that holds it.
CELLS = {
    "4.07 s": r"one process, 128 callers \| 4\.07 ",
    "7.04 s": r"one process, 64 callers \| 7\.04 ",
    "33 µs": r"^\| list \|.*<br>33 µs,",
    "68 µs": r"^\| list \|[^|]*<br>68 µs,",
    "34 µs": r"^\| direct lane \|(?:[^|]*\|)[^|]*<br>34 µs",
    "82 µs": r"^\| http= \|(?:[^|]*\|)[^|]*<br>82 µs",
    "89 µs": r"^\| proxy= \|(?:[^|]*\|)[^|]*<br>89 µs",
    "100 µs": r"^\| trust_env=True \|(?:[^|]*\|)[^|]*<br>100 µs",
    "5.35 times": r"`coalesce` against without \| 5\.35 ",
    "2.0 MiB": r"peak memory, 1,000,000 doctors, stream \| 2\.0 MiB",
    "484 ns": r"^\| batches \|.*\| 484 ",
    "887 ns": r"^\| list \|.*\| 887 ",
    "35 µs": r"^\| list \|(?:[^|]*\|){2}[^|]*<br>35 µs,",
    "32 µs": r"^\| list \|(?:[^|]*\|){2}[^|]*<br>32 µs,",
}


def test_each_measured_figure_is_in_the_report_of_the_benchmarks() -> None:
    """No figure of the table of settings is older than the report: a new run of a benchmark has to change both."""
    table = PAGE.partition("## What does each setting bring?")[2].partition("\n## ")[0]
    rows = [line.split("|")[4] for line in table.splitlines() if line.startswith("|")][2:]
    figures = re.findall(r"[\d.,]+ (?:µs|ns|s|MiB|times)\b", " ".join(rows))
    assert set(figures) == set(CELLS)
    for figure, cell in CELLS.items():
        assert re.search(cell, REPORT, re.MULTILINE), figure
