"""Measures calls in rounds: several ways in turns within one process, and the same again in several processes."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tools.measure import spread

__all__ = ["MALLOC", "Row", "Times", "in_processes", "in_turns", "medians", "merged"]

Call = Callable[[], Awaitable[Any]]
Times = list[tuple[float, float]]  # of one way, by round: seconds a call, wall clock and processor
Row = dict[str, Any]

#: asyncio reads into buffers of 256 KiB. glibc maps each of them again, or takes it from free memory, by chance. These settings
#: make it map none.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}


async def timed(call: Call, calls: int, callers: int) -> tuple[float, float]:
    """Return the seconds for a call, where `callers` callers share `calls` calls.

    The processor's seconds are those of all threads of this process, in user and kernel mode.
    """

    async def caller(times: int) -> None:
        for _ in range(times):
            await call()

    each = max(1, calls // callers)
    wall, cpu = time.perf_counter(), time.process_time()
    if callers == 1:
        await caller(each)
    else:
        await asyncio.gather(*(caller(each) for _ in range(callers)))
    made = each * callers
    return (time.perf_counter() - wall) / made, (time.process_time() - cpu) / made


async def in_turns(
    ways: dict[str, Call], callers: int, rounds: int, calls: int, fewer: dict[str, int] | None = None
) -> dict[str, Times]:
    """Measure all ways in turns and in changing order; those in `fewer` with a fraction of the calls.

    Garbage is collected before each round.
    """
    times: dict[str, Times] = {name: [] for name in ways}
    for call in ways.values():
        await timed(call, callers, callers)  # opens a connection for each caller
    for turn in range(rounds):
        gc.collect()
        order = list(ways.items())
        for name, call in order if turn % 2 else reversed(order):
            times[name].append(await timed(call, calls // (fewer or {}).get(name, 1), callers))
    return times


def medians(times: dict[str, Times], base: str, **which: Any) -> list[Row]:
    """Return a row for each way: median microseconds a call, and how many times as fast as `base` in the same round."""
    return [
        {
            **which,
            "way": name,
            **{
                f"{clock}_{what}": statistics.median(values)
                for index, clock in enumerate(("wall", "cpu"))
                for what, values in (
                    ("us", [each[index] * 1e6 for each in measured]),
                    ("ratio", [b[index] / a[index] for a, b in zip(measured, times[base], strict=True)]),
                )
            },
        }
        for name, measured in times.items()
    ]


def merged(processes: Iterable[list[Row]]) -> list[Row]:
    """Return the rows of several processes as one: of each figure the median, min and max of the processes' medians."""
    figures = ("wall_us", "wall_ratio", "cpu_us", "cpu_ratio")
    found: dict[tuple[Any, ...], list[Row]] = {}
    for rows in processes:
        for row in rows:
            found.setdefault(tuple(value for key, value in row.items() if key not in figures), []).append(row)
    return [{**rows[0], **{key: spread([row[key] for row in rows]) for key in figures}} for rows in found.values()]


def in_processes(arguments: list[str], count: int, core: int | None, environment: dict[str, str] | None = None) -> Any:
    """Yield what each of `count` fresh Python processes prints as JSON; each is pinned to the core, if one is given."""
    for _ in range(count):
        done = subprocess.run(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, **MALLOC, **(environment or {})},
            preexec_fn=None if core is None else (lambda: os.sched_setaffinity(0, {core})),
        )
        yield json.loads(done.stdout.splitlines()[-1])
