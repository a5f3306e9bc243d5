"""The report's tables, made of what the benchmarks have written down. Only Python itself is needed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

__all__ = ["TABLES", "filled"]

Report = dict[str, Any]
_SLOT = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, folder: Path) -> str:
    """Return the report's text with its tables written again from the JSON in that folder."""

    def table(slot: re.Match[str]) -> str:
        benchmark, make = TABLES[slot[2]]
        figures = folder / f"{benchmark}.json"
        if not figures.exists():
            return f"{slot[1]}Not measured yet.\n{slot[3]}"
        lines = make(json.loads(figures.read_text(encoding="utf-8")))
        return slot[1] + "\n".join(lines) + "\n" + slot[3]

    return _SLOT.sub(table, text)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = list(head)
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _spread(figure: Report, digits: int, unit: str = "") -> str:
    median, least, most = (f"{figure[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return f"{median}{unit} ({least} to {most})"


def _machine(report: Report) -> list[str]:
    facts = dict(report["facts"])
    python, cpu, system, commit = (facts.pop(key) for key in ("python", "cpu", "system", "commit"))
    versions = ", ".join(f"{name} {version}" for name, version in facts.items())
    quick = " **A quick run, to see that it works: no figures to go by.**" if report.get("quick") else ""
    return ["", f"Commit {commit}, Python {python}, {versions}; {cpu}, {system}.{quick}"]


def _over(
    rows: list[Report], across: str, down: str, cell: Callable[[Report], str], head: Callable[[Any], str] = str
) -> list[str]:
    """Return a table: one column for each value of `across`, one row for each of `down`."""
    columns = list(dict.fromkeys(row[across] for row in rows))
    by = {(row[down], row[across]): cell(row) for row in rows}
    names = dict.fromkeys(row[down] for row in rows)
    return _table(
        [down, *map(head, columns)], [[name, *(by.get((name, column), "") for column in columns)] for name in names]
    )


def request_path(report: Report) -> list[str]:
    lines: list[str] = []
    rows = [row for row in report["rows"] if row["way"] not in ("token", "empty await")]

    def cell(row: Report) -> str:
        return f"{_spread(row['wall_us'], 0, ' µs')}<br>own {row['own_us']['median']:,.0f} µs<br>**{row['wall_ratio']['median']:.2f}** ({row['wall_ratio']['min']:.2f} to {row['wall_ratio']['max']:.2f})"

    for loop in dict.fromkeys(row["loop"] for row in rows):
        of_loop = [row for row in rows if row["loop"] == loop]
        count = max(row["rounds"] for row in of_loop)
        lines += [f"With {loop}, {count} rounds; columns are concurrent callers:", ""]
        lines += [*_over(of_loop, "callers", "way", cell), ""]
    return [*lines[:-1], *_machine(report), "", f"Pinned: {report['pinned']}."]


def request_figures(report: Report) -> list[str]:
    return _table(["what", "measured"], [[name, _spread(each, 2)] for name, each in report["figures"].items()])


def instructions(report: Report) -> list[str]:
    lines = _table(
        ["what", "instructions a call", "against the expert's, or an empty await"],
        [
            [name, f"{count:,.0f}", f"{report['figures'][name]:.3f}" if name in report["figures"] else ""]
            for name, count in report["instructions"].items()
        ],
    )
    return [*lines, *_machine(report)]


def import_time(report: Report) -> list[str]:
    counted = report.get("counted", {}).get("instructions", {})
    lines = _table(
        ["statement", "ms", "million instructions"],
        [
            [f"`{statement}`", _spread(ms, 0), f"{counted[statement] / 1e6:,.0f}" if counted else ""]
            for statement, ms in report["ms"].items()
        ],
    )
    ratio = f"Ratio within a round: {_spread(report['ratio'], 2)}"
    if counted:
        ratio += f"; of instructions: {report['counted']['ratio']:.2f}"
    ours = report["only because of us"]
    lines += ["", ratio + ".", ""]
    lines += [f"{ours['modules']} modules are there because of us: {ours['own_us'] / 1e3:.0f} ms. The heaviest:", ""]
    lines += _table(
        ["module", "ms itself", "with what it imports"],
        [
            [f"`{row['module']}`", f"{row['own_us'] / 1e3:.1f}", f"{row['with_what_it_imports_us'] / 1e3:.1f}"]
            for row in ours["heaviest"]
        ],
    )
    return [*lines, *_machine(report)]


def streaming(report: Report) -> list[str]:
    lines: list[str] = []
    for kind in dict.fromkeys(row["kind"] for row in report["times"]):
        rows = [row for row in report["times"] if row["kind"] == kind]
        lines += [f"Nanoseconds a record, {kind}; columns are records in the list:", ""]
        lines += _over(rows, "records", "way", lambda row: _spread(row["ns_per_record"], 0), "{:,}".format)
        lines += [""]
    return [*lines[:-1], *_machine(report)]


def fan_out(report: Report) -> list[str]:
    lines = ["Microseconds a clinic; columns are clinics:", ""]
    lines += _over(report["times"], "clinics", "way", lambda row: _spread(row["us_per_clinic"], 0), "{:,}".format)
    return [*lines, *_machine(report)]


def fan_out_figures(report: Report) -> list[str]:
    noisy, coalesced, memory = report["noisy"], report["coalesced"], report["memory"]
    rows = [[name, _spread(ratio, 2)] for name, ratio in report["ratios"].items()]
    rows += [
        ["cost of a clinic among all, against that among 100", _spread(report["flat"], 2)],
        ["end of the healthy, against the computed floor", _spread(report["faulty"]["ratio"], 3)],
        ["99 clinics' p99 beside one that hangs, against alone", f"{noisy['ratio']:.2f}"],
        ["identical calls a second, with `coalesce` against without", _spread(coalesced["ratio"], 2)],
        ["bytes an idle clinic holds", f"{memory['bytes_per_clinic']:,.0f}"],
    ]
    return _table(["what", "measured"], rows)


def dask_fan_out(report: Report) -> list[str]:
    lines = _table(["way", "seconds"], [[way, _spread(each, 2)] for way, each in report["seconds"].items()])
    return [*lines, *_machine(report)]


def token_store(report: Report) -> list[str]:
    """Return what a token store costs."""
    warm, outages, redis = report["warm"], report["outage"], report["redis"]
    rows = [
        [
            f"warm `token()`, store: {name}",
            f"{warm['nanoseconds'][name]['median']:,.0f} ns, {_spread(ratio, 3)} of that without one",
        ]
        for name, ratio in warm["ratio"].items()
    ]
    rows += [
        [f"a session's first token, store: {name}", _spread(ms, 1, " ms")] for name, ms in report["first_ms"].items()
    ]
    rows += [
        [f"kill -9 of the process that asks, store: {name}", f"the other has a token {seconds:.2f} s later"]
        for name, seconds in report["killed_seconds"].items()
    ]
    rows += [
        [
            f"Redis {name}" if name != "without a store" else name,
            f"{out['calls']} calls, {out['failed']} failed, {out['events']} events, the slowest {out['slowest_ms']:.0f} ms",
        ]
        for name, out in outages.items()
    ]
    rows += [
        [
            "scripts Redis runs for who asks, and for each other",
            f"{redis['scripts_who_asks']:g}, {redis['scripts_each_other']:g}",
        ],
        ["bytes a clinic takes in Redis", f"{redis['bytes_a_clinic']:,.0f}"],
        ["a process, for each clinic whose token it holds", f"{report['held_kib']:.1f} KiB"],
    ]
    return _table(["what", "measured"], rows) + _machine(report)


def cancellation(report: Report) -> list[str]:
    lines: list[str] = []
    for name, rows in report.items():
        if not name.endswith(" under way"):
            continue
        columns = ["wall_median_ms", "wall_p99_ms", "wall_max_ms", "own_median_ms", "own_p99_ms", "own_max_ms"]
        lines += [f"{name}, milliseconds:", ""]
        lines += _table(
            ["kind of call", "cancelled", "wall: median", "p99", "longest", "own: median", "p99", "longest"],
            [[kind, f"{row['cancelled']:,}", *(f"{row[key]:.2f}" for key in columns)] for kind, row in rows.items()],
        )
        lines += [""]
    return [*lines[:-1], *_machine(report)]


#: For each table of the report: the benchmark whose figures are in it, and what makes it of them.
TABLES: dict[str, tuple[str, Callable[[Report], list[str]]]] = {
    "request_path": ("request_path", request_path),
    "request_figures": ("request_path", request_figures),
    "instructions": ("instructions", instructions),
    "import_time": ("import_time", import_time),
    "streaming": ("streaming", streaming),
    "fan_out": ("fan_out", fan_out),
    "fan_out_figures": ("fan_out", fan_out_figures),
    "dask_fan_out": ("dask_fan_out", dask_fan_out),
    "token_store": ("token_store", token_store),
    "cancellation": ("cancellation", cancellation),
}
