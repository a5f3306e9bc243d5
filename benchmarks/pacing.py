"""Servers that push back: today's retries, botocore's adaptive mode and pacing, in virtual time.

Prints a table with the median and the worst of 20 seeds; writes JSON to the folder given with --out. Takes a quarter of an
hour of processor time, and a busy machine does not change the figures.

    python benchmarks/pacing.py --out docs/benchmarks
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from tools.command import new_parser, write_report
from tools.measure import facts
from tools.pacing_scenarios import CLIENTS, SCENARIOS, Figures, Scenario, measure
from tools.pacing_steps import steps_over_time


def summary(runs: list[Figures]) -> dict[str, Any]:
    """Return median and worst of each figure."""

    def of(values: list[float], worst: Any = max) -> dict[str, float]:
        return {"median": round(statistics.median(values), 4), "worst": round(worst(values), 4)}

    result: dict[str, Any] = {
        "served": of([run.served for run in runs], min),
        "seconds": of([run.seconds for run in runs]),
        "refused": of([run.refused for run in runs]),
        "requests_per_call": of([run.requests_per_call for run in runs]),
    }
    if runs[0].over_ideal is not None:
        result["over_ideal"] = of([run.over_ideal or 0.0 for run in runs])
    for name in runs[0].more:
        result[name] = of([run.more.get(name, 0.0) for run in runs], min if name == "jain" else max)
    return result


def missed(scenario: Scenario, row: dict[str, Any]) -> list[str]:
    """Return which of the figures to reach the median misses."""
    time_over, refused = scenario.asked
    found = [] if row["served"]["median"] == 1 or time_over is None else ["served"]
    if time_over is not None and row["over_ideal"]["median"] > time_over:
        found.append(f"time {time_over:g}")
    if refused is not None and row["refused"]["median"] > refused:
        found.append(f"refused {refused:.0%}")
    return found


def line(scenario: Scenario, client: str, row: dict[str, Any]) -> str:
    """Return a row as text."""
    taken = row.get("over_ideal") or row["seconds"]
    text = (
        f"{scenario.name:31} {client:9} {row['served']['median']:7.2%} ({row['served']['worst']:7.2%})"
        f"  {'x' if 'over_ideal' in row else 's'} {taken['median']:6.2f} ({taken['worst']:6.2f})"
        f"  refused {row['refused']['median']:6.2%} ({row['refused']['worst']:6.2%})"
        f"  sent {row['requests_per_call']['worst']:.2f}"
    )
    for name in ("jain", "p99_ms"):
        if name in row:
            text += f"  {name} {row[name]['median']:.2f} ({row[name]['worst']:.2f})"
    return text + (f"  ASKED: {', '.join(lacks)}" if client == "pacing" and (lacks := missed(scenario, row)) else "")


def main() -> None:
    """Run the scenarios that are chosen."""
    parser = new_parser(__doc__, quick="one seed, to see that it works")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="", help="part of a scenario's name")
    parser.add_argument("--clients", nargs="*", default=list(CLIENTS))
    options = parser.parse_args()
    if options.quick:
        options.seeds = 1
    rows = []
    started = time.perf_counter()
    for scenario in SCENARIOS:
        if options.only not in scenario.name:
            continue
        for client in options.clients:
            runs = [measure(scenario, CLIENTS[client], seed) for seed in range(options.seeds)]
            row = summary(runs)
            rows.append({"scenario": scenario.name, "asked": scenario.asked, "client": client, **row})
            print(line(scenario, client, row), flush=True)
    print(f"{time.perf_counter() - started:.0f} s")
    if options.out is not None:
        report = {
            "facts": facts("attrs"), "seeds": options.seeds, "quick": options.quick, "rows": rows,
            "steps": steps_over_time(),
        }  # fmt: skip
        write_report(report, options.out, "pacing")


if __name__ == "__main__":
    main()
