"""One warm call after another: `list` and `batches` against plain aiohttp and httpx with Authlib, over loopback.

The server sends fixed bytes and has its own process and core; the clients share the other core, those with uvloop in
their own process. Rounds are interleaved and in changing order; ratios within a round are compared. Wall time is what
a caller sees. The client's own processor time is reported with it, which other programs on the machine do not
lengthen. Prints a table; writes JSON to the folder given with --out.

    python benchmarks/request_path.py --out docs/benchmarks
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from servers.requests import DOCTORS, request_server
from tools.measure import cores, facts, spread
from tools.request_ways import CONNECTIONS, EXPERT, opened, warmed

LOOPS = ("asyncio", "uvloop")
CALLERS = (1, 8, 32, 128)
CALLS, ROUNDS = 1024, 25
QUICK_CALLS, QUICK_ROUNDS = 256, 3
#: What takes ten times as long is called less often, and only in some of the rounds.
SLOW = {"httpx and Authlib": (8, 3)}
IN_PROCESS_CALLS = 20_000

#: asyncio reads into buffers of 256 KiB. glibc maps each of them again, or takes it from free memory, by
#: chance. These settings make it map none.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}

Call = Callable[[], Awaitable[Any]]
Times = list[tuple[float, float]]  # of one way, by round: seconds a call, by the wall and by the processor


async def timed(call: Call, calls: int, callers: int) -> tuple[float, float]:
    """Return the seconds for a call, where `callers` callers share `calls` calls."""

    async def caller(times: int) -> None:
        for _ in range(times):
            await call()

    each = max(1, calls // callers)
    gc.collect()
    wall, own = time.perf_counter(), time.process_time()
    if callers == 1:
        await caller(each)
    else:
        await asyncio.gather(*(caller(each) for _ in range(callers)))
    made = each * callers
    return (time.perf_counter() - wall) / made, (time.process_time() - own) / made


async def rounds(ways: dict[str, Call], callers: int, count: int, calls: int) -> dict[str, Times]:
    """Measure all ways in turns."""
    times: dict[str, Times] = {name: [] for name in ways}
    for call in ways.values():
        await timed(call, callers, callers)  # opens a connection for each caller
    for turn in range(count):
        order = list(ways.items())
        for name, call in order if turn % 2 else reversed(order):
            fewer, every = SLOW.get(name, (1, 1))
            if turn % every == 0:
                times[name].append(await timed(call, calls // fewer, callers))
            else:
                times[name].append((0.0, 0.0))
    return times


def rows(times: dict[str, Times], base: str, **which: Any) -> list[dict[str, Any]]:
    """Return a row for each way: microseconds a call, and how many times as fast as `base` it was in the same round."""
    found = []
    for name, measured in times.items():
        pairs = [(mine, theirs) for mine, theirs in zip(measured, times[base], strict=True) if mine[0]]
        row = {**which, "way": name, "rounds": len(pairs)}
        for index, clock in enumerate(("wall", "own")):
            row[f"{clock}_us"] = spread([mine[index] * 1e6 for mine, _ in pairs])
            row[f"{clock}_ratio"] = spread([theirs[index] / mine[index] for mine, theirs in pairs])
        found.append(row)
    return found


async def measure(loop: str, origin: str, *, quick: bool) -> list[dict[str, Any]]:
    """Measure all that one event loop has to show."""
    count, calls = (QUICK_ROUNDS, QUICK_CALLS) if quick else (ROUNDS, CALLS)
    found: list[dict[str, Any]] = []
    async with opened(origin) as (ways, inside):
        await warmed(ways)
        for callers in CALLERS:
            times = await rounds(ways, callers, count, calls)
            found += rows(times, EXPERT, loop=loop, callers=callers)
        times = await rounds(inside, 1, count, IN_PROCESS_CALLS)
        found += rows(times, "empty await", loop=loop, callers=1)
    return found


def in_a_process_of_its_own(loop: str, origin: str, core: int | None, *, quick: bool) -> list[dict[str, Any]]:
    """Measure with one event loop, in a process and on a core of its own."""
    command = [sys.executable, __file__, "--one", f"{loop},{origin},{core}"] + ["--quick"] * quick
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **MALLOC}).stdout
    found: list[dict[str, Any]] = json.loads(output)
    return found


def one(spec: str, *, quick: bool) -> None:
    """Run the measurement that `in_a_process_of_its_own` started."""
    loop, origin, core = spec.split(",")
    if core != "None":
        os.sched_setaffinity(0, {int(core)})
    factory = None
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run(measure(loop, origin, quick=quick))))


def figures(found: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the ratios that the project has set itself."""
    by = {(row["loop"], row["callers"], row["way"]): row for row in found}
    named: dict[str, dict[str, float]] = {}
    for loop in LOOPS:
        for callers in (1, 32, 128):
            row = by[loop, callers, "list"]
            named[f"list against the expert's aiohttp, {loop}, callers: {callers}"] = row["wall_ratio"]
        ours = by[loop, 32, "list"]["wall_us"]
        for way in ("aiohttp, tutorial", "httpx and Authlib"):
            theirs = by[loop, 32, way]["wall_us"]
            # Of medians: httpx has fewer rounds.
            named[f"list against {way}, {loop}, callers: 32"] = {
                "median": theirs["median"] / ours["median"],
                "min": theirs["min"] / ours["max"],
                "max": theirs["max"] / ours["min"],
            }
        token = by[loop, 1, "token"]["own_ratio"]
        named[f"warm token in empty awaits, {loop}"] = {
            "median": 1 / token["median"],
            "min": 1 / token["max"],
            "max": 1 / token["min"],
        }
    return named


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for JSON")
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it works")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*httpx")  # Authlib's word on its next dependency
    if arguments.one:
        one(arguments.one, quick=arguments.quick)
        return
    server_core, client_core = cores()
    report: dict[str, Any] = {
        "facts": facts("aiohttp", "attrs", "cattrs", "orjson", "uvloop", "httpx", "Authlib", "pydantic"),
        "pinned": "no: one core, or no way to pin" if client_core is None else "server and client to a core each",
        "doctors": DOCTORS,
        "connections": CONNECTIONS,
        "environment": MALLOC,
        "quick": arguments.quick,
        "rows": [],
    }
    print(report["facts"], report["pinned"], sep="\n")
    with request_server(server_core) as origin:
        for loop in LOOPS:
            report["rows"] += in_a_process_of_its_own(loop, origin, client_core, quick=arguments.quick)
            for row in report["rows"]:
                if row["loop"] == loop:
                    wall, own, ratio = row["wall_us"], row["own_us"], row["wall_ratio"]
                    print(
                        f"{loop:8} {row['callers']:>3} callers  {row['way']:29} {wall['median']:>9,.2f} us a call"
                        f" ({wall['min']:,.2f} to {wall['max']:,.2f}), own {own['median']:>9,.2f}"
                        f"   times as fast: {ratio['median']:.3f} ({ratio['min']:.2f} to {ratio['max']:.2f})",
                        f"own {row['own_ratio']['median']:.3f}",
                        flush=True,
                    )
    report["figures"] = figures(report["rows"])
    for name, value in report["figures"].items():
        print(f"{name}: {value['median']:.2f} ({value['min']:.2f} to {value['max']:.2f})")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "request_path.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
