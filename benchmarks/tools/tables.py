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
    facts.pop("commit", None)  # of figures that were written before it was left out
    python, cpu, system = (facts.pop(key) for key in ("python", "cpu", "system"))
    versions = ", ".join(f"{name} {version}" for name, version in facts.items())
    quick = " **A quick run, to see that it works: no figures to go by.**" if report.get("quick") else ""
    return ["", f"Python {python}, {versions}; {cpu}, {system}.{quick}"]


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


def _ratio(figure: Report) -> str:
    return f"**{figure['median']:,.2f}** ({figure['min']:,.2f} to {figure['max']:,.2f})"


def _goals(what: str, figures: dict[str, Report]) -> list[str]:
    """Return a table of ratios with their goals: by CPU time first, since other programs lengthen wall time."""
    return _table(
        [what, "goal", "CPU time", "wall time"],
        [
            [name, f"{each['goal']:.2f}" if each["goal"] else "", _ratio(each["cpu"]), _spread(each["wall"], 2)]
            for name, each in figures.items()
        ],
    )


def _turns(report: Report) -> str:
    return f"{report['processes']} processes with {report['rounds']} rounds each; pinned: {report['pinned']}."


def request_path(report: Report) -> list[str]:
    lines: list[str] = []
    rows = [row for row in report["rows"] if row["what"] == f"{report['doctors']} records"]

    def cell(row: Report) -> str:
        cpu, wall = row["cpu_us"]["median"], row["wall_us"]["median"]
        return f"{_ratio(row['cpu_ratio'])}<br>{cpu:,.0f} µs, wall {wall:,.0f} µs"

    for loop in dict.fromkeys(row["loop"] for row in rows):
        lines += [f"With {loop}; columns are concurrent callers:", ""]
        lines += [*_over([row for row in rows if row["loop"] == loop], "callers", "way", cell), ""]
    return [*lines[:-1], *_machine(report), "", _turns(report)]


def request_figures(report: Report) -> list[str]:
    return _goals("`list()` against the expert's aiohttp", {n: f for n, f in report["figures"].items() if f["goal"]})


def request_tokens(report: Report) -> list[str]:
    rows = {(row["loop"], row["way"]): row["cpu_us"] for row in report["rows"] if row["what"] == "a token"}
    return _table(
        ["nanoseconds of CPU time", *(way for loop, way in rows if loop == "asyncio")],
        [
            [
                loop,
                *(
                    _spread({key: each * 1e3 for key, each in us.items()}, 0)
                    for (of, _), us in rows.items()
                    if of == loop
                ),
            ]
            for loop in dict.fromkeys(loop for loop, _ in rows)
        ],
    )


def request_lanes(report: Report) -> list[str]:
    rows = [row for row in report["rows"] if row["what"] == "lanes" and row["way"] != "aiohttp, expert"]

    def cell(row: Report) -> str:
        return f"{_ratio(row['cpu_ratio'])}<br>{row['cpu_us']['median']:,.0f} µs"

    named = [
        {**row, "callers": f"{row['callers']} callers, {row['loop']}".replace("1 callers", "1 caller")} for row in rows
    ]
    return _over(named, "callers", "way", cell)


def http_clients(report: Report) -> list[str]:
    lines = ["Columns are concurrent callers; the row of the expert's is what the others are held against:", ""]
    rows = sorted(
        report["rows"],
        key=lambda row: -max(r["cpu_ratio"]["median"] for r in report["rows"] if r["client"] == row["client"]),
    )

    def cell(row: Report) -> str:
        rate, ratio = row["calls_per_cpu_second"]["median"], row["cpu_ratio"]
        return f"{rate:,.0f}<br>{_ratio(ratio)}, wall {row['wall_ratio']['median']:.2f}"

    lines += _over(
        [
            {**row, "client": f"`{row['client']}`" if row["client"] == "arzamed_async" else row["client"]}
            for row in rows
        ],
        "callers",
        "client",
        cell,
    )
    return [*lines, *_machine(report), "", _turns(report)]


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
        ratio += f"; of instructions: {report['counted']['ratio']:.3f}"
    ours = report["only because of us"]
    lines += ["", ratio + ".", ""]
    lines += [
        f"{ours['modules']} modules are imported because of this package: {ours['own_us'] / 1e3:.0f} ms. The heaviest:",
        "",
    ]
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
        lines += [f"Nanoseconds of CPU time for a record, {kind}; columns are records in the list:", ""]
        lines += _over(rows, "records", "way", lambda row: _spread(row["ns_per_record"], 0), "{:,}".format)
        lines += [""]
    return [*lines[:-1], *_machine(report)]


def streaming_rest(report: Report) -> list[str]:
    rows = [
        [f"peak memory, {each['records']:,} {each['kind']}, {each['way']}", f"{each['peak_mib']:,.1f} MiB"]
        for each in report["memory"]
    ]
    rows += [
        [
            f"longest hold of the event loop, {each['records']:,} {each['kind']}, {each['way']}",
            f"{each['hold_ms']:,.1f} ms",
        ]
        for each in report["holds"]
    ]
    if "flatness" in report:
        rows += [["cost of a record among 1,000,000, against that among 10,000", _spread(report["flatness"], 2)]]
    rows += [
        [f"hostile body ({each['kind']}), against orjson or a friendly body, the slower", f"{each['ratio']:.2f}"]
        for each in report["hostile"]
    ]
    return _table(["what", "measured"], rows)


def inference(report: Report) -> list[str]:
    """Return what inference costs beside the stream that it reads, and the memory that it takes."""
    rows = report["times"]
    times = {(row["kind"], row["way"]): row for row in rows}
    kinds = list(dict.fromkeys(row["kind"] for row in rows))

    def cells(row: Report) -> str:
        return f"{_ratio(row['times_stream'])}<br>{row['ns_per_record']['median']:,.0f} ns"

    lines = _table(
        ["way", *(f"{rows[0]['records']:,} {kind}" for kind in kinds)],
        [[way, *(cells(times[kind, way]) for kind in kinds)] for way in dict.fromkeys(row["way"] for row in rows)],
    )
    lines += [""]
    lines += _table(
        ["what", "measured"],
        [
            [f"peak memory of inference, {each['records']:,} {each['kind']}", f"{each['peak_mib']:,.1f} MiB"]
            for each in report["memory"]
        ],
    )
    return [*lines, *_machine(report)]


def fan_out(report: Report) -> list[str]:
    lines = ["Microseconds of the client's CPU time for a clinic, and wall time; columns are clinics:", ""]

    def cell(row: Report) -> str:
        return f"{_spread(row['cpu_us'], 0)}<br>wall {row['wall_us']['median']:,.0f}"

    lines += _over(report["times"], "clinics", "way", cell, "{:,}".format)
    return [*lines, *_machine(report)]


def fan_out_figures(report: Report) -> list[str]:
    return _goals("clinics a second", report["ratios"])


def fan_out_rest(report: Report) -> list[str]:
    noisy, coalesced, memory = report["noisy"], report["coalesced"], report["memory"]
    rows = [
        ["cost of a clinic among all, against that among 100", _spread(report["flat"], 2)],
        ["end of the healthy, against the computed lower bound", _spread(report["faulty"]["ratio"], 3)],
        ["99 clinics' p99 beside one that hangs, against alone", _spread(noisy["ratio"], 2)],
        ["identical calls a second, with `coalesce` against without", _spread(coalesced["ratio"], 2)],
        ["token requests a clinic, least and most", "{}, {}".format(*report["tokens"]["tokens a clinic"][:2])],
        ["sockets open at most, and after", f"{report['tokens']['most sockets']}, {report['tokens']['left']}"],
        ["bytes an idle clinic holds, its token of 1,000 bytes included", f"{memory['bytes_per_clinic']:,.0f}"],
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
        [f"a session's first token, store: {name.replace('asked for', 'requested')}", _spread(ms, 1, " ms")]
        for name, ms in report["first_ms"].items()
    ]
    rows += [
        [f"kill -9 of the process that requests, store: {name}", f"the other has a token {seconds:.2f} s later"]
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
            "scripts that Redis runs for the process that requests, and for each other",
            f"{redis['scripts_who_asks']:g}, {redis['scripts_each_other']:g}",
        ],
        ["bytes a clinic takes in Redis", f"{redis['bytes_a_clinic']:,.0f}"],
        ["a process, for each clinic whose token it holds", f"{report['held_kib']:.1f} KiB"],
    ]
    return _table(["what", "measured"], rows) + _machine(report)


def day(report: Report) -> list[str]:
    """Return what a simulated day has cost, and the memory of its processes."""
    log, requests, clinics = report["log"], report["requests"], report["clinics"]
    quiet = [row for row in log if not row["out"]]
    exact = sum(row["tokens"] == 2 * (clinics + row["revoked"]) for row in quiet)
    faults = sum(number for name, number in requests.items() if ": " in name and name != "API: 401")
    rows = [
        ["requests of the API, and of tokens", f"{requests['API requests']:,}, {requests['token requests']:,}"],
        ["of these, failed, reset, cut or slow", f"{faults:,}"],
        ["tokens revoked", f"{2 * sum(row['revoked'] for row in log):,}"],
        ["hours with both stores in order", str(len(quiet))],
        ["of these, with one token a clinic and store, and one for each revoked", str(exact)],
    ]
    rows += [
        [f"tokens in hour {row['hour']}, for {clinics:,} clinics, 2 stores and {row['revoked']} revoked: {row['out']}",
         f"{row['tokens']:,}"]
        for row in log if row["out"]
    ]  # fmt: skip
    rows += [
        [f"memory after hour {hour}: two processes with files, two with Redis",
         ", ".join(f"{size / 2**20:.1f}" for size in found["rss"]) + " MiB"]
        for hour, found in report["memory"].items()
    ]  # fmt: skip
    rows += [
        [f"of these, Python's objects after hour {hour}: one process with files, one with Redis",
         ", ".join(f"{size / 2**20:.2f}" for size in found["traced"] if size is not None) + " MiB"]
        for hour, found in report["memory"].items()
    ]  # fmt: skip
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


_CLIENTS = {"retries": "retries alone", "botocore": "botocore's adaptive mode", "pacing": "pacing"}


def _paced(row: Report, cells: list[str]) -> list[str]:
    """Return the row of a scenario: its name, what is asked of pacing, and these cells."""
    over, refused = row["asked"]
    asked = [f"{over:.2f} of the ideal"] if over is not None else []
    asked += [f"{refused:.0%} refused"] if refused is not None else []
    return [row["scenario"], "<br>".join(asked), *cells]


def pacing(report: Report) -> list[str]:
    """Return the matrix of scenarios and clients in virtual time: the medians, and the worst in brackets."""

    def both(figure: Report, form: str, factor: float = 1.0) -> str:
        return f"{factor * figure['median']:{form}} ({factor * figure['worst']:{form}})"

    def cell(row: Report) -> str:
        parts = [f"{both(row['served'], '.1f', 100)} % served"]
        parts += [
            f"{both(row['over_ideal'], '.2f')} of the ideal"
            if "over_ideal" in row
            else f"{both(row['seconds'], '.1f')} s"
        ]
        parts += [f"{both(row['refused'], '.1f', 100)} % refused"]
        if "jain" in row:
            parts += [f"Jain's index {both(row['jain'], '.2f')}"]
        if "220" in row["scenario"]:
            parts += [f"p99 of the free {both(row['p99_ms'], '.0f')} ms"]
        return "<br>".join(parts)

    rows = [[row for row in report["rows"] if row["client"] == client] for client in _CLIENTS]
    lines = _table(
        ["scenario", "asked", *_CLIENTS.values()],
        [_paced(of_all[0], [cell(row) for row in of_all]) for of_all in zip(*rows, strict=True)],
    )
    return [*lines, "", f"{report['seeds']} seeds.", *_machine(report)]


def pacing_sockets(report: Report) -> list[str]:
    """Return the scenarios over sockets, and what the session made of them with pacing and without."""

    def cell(row: Report) -> str:
        parts = [f"{row['served']:.1%} served"]
        parts += [f"{row['over_ideal']:.2f} of the ideal"] if "over_ideal" in row else []
        parts += [
            f"{row['seconds']:.1f} s",
            f"{row['refused']:.1%} refused",
            f"{row['requests_per_call']:.2f} requests a call",
        ]
        if "jain" in row:
            parts += [f"Jain's index {row['jain']:.2f}"]
        if "220" in row["scenario"]:
            parts += [f"p99 of the free {row['p99_ms']:.0f} ms"]
        if "known" in row["scenario"]:
            parts += [f"at most {row['fullest_second']} in a second"]
        return "<br>".join(parts)

    ways = list(dict.fromkeys(row["way"] for row in report["rows"]))
    rows = [[row for row in report["rows"] if row["way"] == way] for way in ways]
    lines = _table(
        ["scenario", "asked", "clinics", *(f"`{way}`" if "=" in way else way for way in ways)],
        [_paced(of_all[0], [f"{of_all[0]['clinics']:,}", *map(cell, of_all)]) for of_all in zip(*rows, strict=True)],
    )
    without = [] if report["nginx"] else ["", "nginx was not installed: its scenarios are missing."]
    return [*lines, *without, *_machine(report)]


#: For each table of the report: the benchmark whose figures are in it, and what makes it of them.
TABLES: dict[str, tuple[str, Callable[[Report], list[str]]]] = {
    "request_path": ("request_path", request_path),
    "request_figures": ("request_path", request_figures),
    "request_lanes": ("request_path", request_lanes),
    "request_tokens": ("request_path", request_tokens),
    "http_clients": ("http_clients", http_clients),
    "instructions": ("instructions", instructions),
    "import_time": ("import_time", import_time),
    "streaming": ("streaming", streaming),
    "streaming_rest": ("streaming", streaming_rest),
    "inference": ("inference", inference),
    "fan_out": ("fan_out", fan_out),
    "fan_out_figures": ("fan_out", fan_out_figures),
    "fan_out_rest": ("fan_out", fan_out_rest),
    "dask_fan_out": ("dask_fan_out", dask_fan_out),
    "token_store": ("token_store", token_store),
    "day": ("day", day),
    "cancellation": ("cancellation", cancellation),
    "pacing": ("pacing", pacing),
    "pacing_sockets": ("pacing_sockets", pacing_sockets),
}
