"""How many instructions a request costs the client: counted by valgrind, and so independent of machine and load.

All ways run in one process under callgrind, each N times and then 2 N times; the difference is the cost of N
calls, without start and warm-up. Between two of them the process calls getppid, which nothing else calls and at
which callgrind writes its counts.
Prints a table; writes JSON to the folder given with --out. With --check it only holds the ratios to plain
aiohttp, which depend little on versions and not at all on the machine, against the baseline below.

    python benchmarks/instructions.py --out docs/benchmarks
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from servers.requests import request_server
from tools.command import new_parser, write_report
from tools.measure import callgrind, cores, facts
from tools.request_ways import EXPERT, opened, warmed

WAYS = (EXPERT, "list", "batches")
INSIDE = ("token", "empty await")
CALLS = 12
CALLERS, QUICK_CALLERS = [1, 8, 32], [1, 8]
#: Factor for calls that stay in the process: one alone costs little.
IN_PROCESS_TIMES = 20

#: The ratios of Python 3.11 that a change must not exceed by more than the tolerance; runs of the same sources differ by a few thousandths.
#: Update them when they improve, or when a feature is worth its cost.
BASELINE = {
    "list, callers: 1": 0.502,
    "batches, callers: 1": 0.635,
    "list, callers: 8": 0.478,
    "list, callers: 32": 0.474,
    "token": 3.95,
}
TOLERANCE = 0.05


def marker() -> None:
    """Make callgrind write its counts, and start from zero."""
    os.getppid()


async def counted(call: Callable[[], Awaitable[Any]], calls: int, callers: int) -> None:
    """Make the calls between two markers."""

    async def caller() -> None:
        for _ in range(calls):
            await call()

    gc.collect()
    gc.disable()  # in few calls, one collection more or less is chance
    tasks = [caller() for _ in range(callers)]
    marker()
    if callers == 1:
        await tasks[0]
    else:
        await asyncio.gather(*tasks)
    marker()
    gc.enable()


def counted_ways(callers: list[int], *, checked: bool) -> list[tuple[int, str]]:
    """Return what is counted over the wire: each way at each number of callers, or what the baseline compares of it."""
    found = [(number, way) for number in callers for way in WAYS]
    return [each for each in found if not checked or each[1] == EXPERT or f"{each[1]}, callers: {each[0]}" in BASELINE]


async def work(origin: str, calls: int, callers: list[int], *, checked: bool) -> None:
    """Do what is counted, `calls` times and twice as many."""
    async with opened(origin, rivals=False) as (ways, inside):
        await warmed(ways, 10)
        switch = ["callgrind_control", "-i", "on", str(os.getpid())]
        subprocess.run(switch, check=True, capture_output=True)  # noqa: ASYNC221 - nothing else is under way
        for number, way in counted_ways(callers, checked=checked):
            call = ways[way]
            await counted(call, 2, number)  # connections, and what is made once
            await counted(call, calls, number)
            await counted(call, 2 * calls, number)
        for call in inside.values():
            await counted(call, 2, 1)
            await counted(call, calls * IN_PROCESS_TIMES, 1)
            await counted(call, 2 * calls * IN_PROCESS_TIMES, 1)


def measure(calls: int, callers: list[int], *, checked: bool) -> dict[str, float]:
    """Return the instructions of a call, by way and number of callers: of all, or of what is checked."""
    server_core, client_core = cores()
    with request_server(server_core) as origin:
        given = f"{origin},{calls},{'+'.join(map(str, callers))}"
        arguments = [__file__, "--work", given, *(["--check"] if checked else [])]
        # What comes before the calls, the imports above all, takes as long as they do where it is counted, too.
        found = callgrind(arguments, client_core, "--instr-atstart=no")
    # Three counts for each: warm-up, N calls, 2 N calls. Between two of them is the rest of the program.
    counts = iter(found[1::2])
    cost: dict[str, float] = {}
    for number, way in counted_ways(callers, checked=checked):
        _, once, twice = next(counts), next(counts), next(counts)
        cost[f"{way}, callers: {number}"] = (twice - once) / (calls * number)
    for way in INSIDE:
        _, once, twice = next(counts), next(counts), next(counts)
        cost[way] = (twice - once) / (calls * IN_PROCESS_TIMES)
    return cost


def figures(cost: dict[str, float], callers: list[int]) -> dict[str, float]:
    """Return what is held against the baseline: how many times as many instructions as the expert's."""
    found = {
        f"{way}, callers: {number}": cost[f"{way}, callers: {number}"] / cost[f"{EXPERT}, callers: {number}"]
        for number in callers
        for way in WAYS[1:]
        if f"{way}, callers: {number}" in cost
    }
    return {**found, "token": cost["token"] / cost["empty await"]}


def check(found: dict[str, float]) -> None:
    """End with an error if a ratio is worse than the baseline allows."""
    worse = []
    for name, baseline in BASELINE.items():
        ratio = found[name]
        print(f"{name:24} {ratio:8.4f}, baseline {baseline:8.4f}")
        if ratio > baseline * (1 + TOLERANCE):
            worse.append(
                f"{name}: {ratio:.3f} times the instructions of what it is held against, and not {baseline:.3f}"
            )
        elif ratio < baseline * (1 - TOLERANCE):
            print(f"{name} is better than the baseline allows for: update it")
    if worse:
        sys.exit("\n".join(worse))


def main() -> None:
    """Measure and report, or check."""
    parser = new_parser(__doc__, quick="few calls, to see that it works")
    parser.add_argument("--check", action="store_true", help="hold the ratios against the baseline")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        origin, calls, number = arguments.work.split(",")
        asyncio.run(work(origin, int(calls), [int(each) for each in number.split("+")], checked=arguments.check))
        return
    if not shutil.which("valgrind"):
        sys.exit("valgrind is needed (Debian has it), and not here")
    callers = QUICK_CALLERS if arguments.quick else CALLERS
    cost = measure(CALLS, callers, checked=arguments.check)
    found = figures(cost, callers)
    if arguments.check:
        check(found)
        return
    report: dict[str, Any] = {
        "facts": facts("aiohttp", "attrs", "cattrs", "orjson"),
        "instructions": cost,
        "figures": found,
    }
    print(report["facts"])
    for name, instructions in cost.items():
        print(f"{name:40} {instructions:>10,.0f} instructions a call")
    for name, ratio in found.items():
        print(f"{name}: {ratio:.4f}")
    write_report(report, arguments.out, "instructions")


if __name__ == "__main__":
    main()
