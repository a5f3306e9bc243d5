"""What `import arzamed_async` costs, beside importing aiohttp, cattrs and orjson, which it is made of.

Each import is made in fresh processes, in turns. With valgrind, their instructions are counted as well. Then the
modules of this package, and those imported because of it, by their own time in `python -X importtime`.
Prints a table; writes JSON to the folder given with --out. With --check it only holds the ratio of instructions, which
does not depend on the machine, against the limit below.

    python benchmarks/import_time.py --out docs/benchmarks
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from tools.command import new_parser, write_report
from tools.measure import callgrind, cores, facts, spread

BASE = "import aiohttp, cattrs, orjson"
OURS = "import arzamed_async"
ROUNDS, QUICK_ROUNDS = 25, 3
HEAVIEST = 10
#: The most that the import may cost, in instructions, against that of its dependencies: the goal of 1.08 was reached before
#: the modules of pacing came, which a session needs from its start.
LIMIT = 1.1
_LINE = re.compile(r"import time: +(\d+) \| +(\d+) \| +([\w.]+)")


def run(core: int | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=None if core is None else (lambda: os.sched_setaffinity(0, {core})),
    )


def seconds(statement: str, core: int | None) -> float:
    """Return what a statement takes in a fresh process, its start not counted."""
    text = f"import time; started = time.perf_counter(); {statement}; print(time.perf_counter() - started)"
    return float(run(core, "-c", text).stdout)


def times(rounds: int, core: int | None) -> dict[str, Any]:
    """Measure both in turns."""
    for statement in (BASE, OURS):
        seconds(statement, core)  # compiled and read once
    pairs = []
    for turn in range(rounds):
        order = (BASE, OURS) if turn % 2 else (OURS, BASE)
        taken = {statement: seconds(statement, core) for statement in order}
        pairs.append((taken[BASE], taken[OURS]))
    return {
        "ms": {BASE: spread([base * 1e3 for base, _ in pairs]), OURS: spread([ours * 1e3 for _, ours in pairs])},
        "ratio": spread([ours / base for base, ours in pairs]),
    }


def instructions(core: int | None) -> dict[str, Any]:
    """Count the instructions of both, those of starting Python taken off."""
    start, base, ours = (sum(callgrind(["-c", statement], core)) for statement in ("pass", BASE, OURS))
    return {"instructions": {BASE: base - start, OURS: ours - start}, "ratio": (ours - start) / (base - start)}


def check() -> None:
    """End with an error if the import costs more than the limit."""
    for statement in (BASE, OURS):
        run(None, "-c", statement)  # compiled
    ratio = instructions(None)["ratio"]
    print(f"import                   {ratio:8.4f}, limit {LIMIT:8.4f}")
    if ratio > LIMIT:
        sys.exit(f"import: {ratio:.3f} times the instructions of its dependencies, and not {LIMIT}")


def heaviest(rounds: int, core: int | None) -> list[dict[str, Any]]:
    """Return the modules that are there because of us, by the time each takes itself; medians, in microseconds."""
    base = {name for _, _, name in _LINE.findall(run(core, "-X", "importtime", "-c", BASE).stderr)}
    own: dict[str, list[int]] = {}
    with_others: dict[str, list[int]] = {}
    for _ in range(rounds):
        for own_us, all_us, name in _LINE.findall(run(core, "-X", "importtime", "-c", OURS).stderr):
            if name not in base:
                own.setdefault(name, []).append(int(own_us))
                with_others.setdefault(name, []).append(int(all_us))
    found = [
        {
            "module": name,
            "own_us": statistics.median(each),
            "with_what_it_imports_us": statistics.median(with_others[name]),
        }
        for name, each in own.items()
    ]
    return sorted(found, key=lambda row: -float(str(row["own_us"])))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all."""
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    _, core = cores()
    report: dict[str, Any] = {"facts": facts("aiohttp", "attrs", "backoff", "cattrs", "orjson"), **times(rounds, core)}
    if shutil.which("valgrind") and not arguments.quick:
        report["counted"] = instructions(core)
    modules = heaviest(max(3, rounds // 3), core)
    report["only because of us"] = {
        "modules": len(modules),
        "own_us": sum(row["own_us"] for row in modules),
        "heaviest": modules[:HEAVIEST],
    }
    return report


def show(report: dict[str, Any]) -> None:
    """Print all."""
    print(report["facts"])
    for statement, ms in report["ms"].items():
        print(f"{statement:32} {ms['median']:7.1f} ms ({ms['min']:.1f} to {ms['max']:.1f})")
    print(f"ratio {report['ratio']['median']:.3f} ({report['ratio']['min']:.3f} to {report['ratio']['max']:.3f})")
    if "counted" in report:
        print(f"ratio of instructions {report['counted']['ratio']:.3f}", report["counted"]["instructions"])
    ours = report["only because of us"]
    print(f"{ours['modules']} modules are there because of us, {ours['own_us'] / 1e3:.1f} ms")
    for row in ours["heaviest"]:
        print(
            f"  {row['module']:40} {row['own_us']:>7,.0f} us itself, {row['with_what_it_imports_us']:>8,.0f} with others"
        )


def main() -> None:
    """Measure and report."""
    parser = new_parser(__doc__, quick="few rounds and no valgrind, to see that it works")
    parser.add_argument("--check", action="store_true", help="hold the ratio of instructions against its limit")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as compiled:
        # Bytecode is kept, as for an installed package, whatever this environment sets.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        if arguments.check:
            check()
            return
        report = measure(arguments)
    show(report)
    write_report(report, arguments.out, "import_time")


if __name__ == "__main__":
    main()
