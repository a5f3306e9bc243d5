"""Many clinics at once, each a token and its doctors: arzamed_async against plain aiohttp, and httpx with Authlib.

All ways talk to the same server, which has its own process and core, with 64 callers and 100 connections. Each number of clinics is
measured in several processes, in interleaved rounds: the client's own processor time first, wall time beside it. Then the same
where some clinics hang, refuse or fail; a clinic that hangs with a thousand calls queued; coalescing; memory. Prints
tables; writes JSON to the folder given with --out.

    python benchmarks/fan_out.py --out docs/benchmarks
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import json
import os
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from servers.clinics import DOCTORS, TOKEN_BYTES, Server, clinics_server
from tools.command import new_parser, write_report
from tools.measure import cores, facts, spread
from tools.rounds import Row, Times, in_processes, medians, merged

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    CredentialsRejectedError,
    DeadlineExceededError,
    Doctor,
    Success,
    Timeouts,
)

CALLERS = 64
#: Rounds of each process, by the number of clinics.
PLAN = {10: 9, 100: 7, 1_000: 3, 10_000: 2}
PROCESSES = 5
QUICK_PLAN = {10: 3, 100: 2}
OURS, EXPERT = "arzamed_async", "aiohttp, hand-written"
#: How many times as many clinics for each second of the processor as hand-written aiohttp: what the project has set itself.
GOALS = {100: 1.45, 1_000: 2.0, 10_000: 2.0}
#: The most clinics for slow ways, whose cost per clinic hardly depends on their number.
MOST_WITH = {"httpx and Authlib": 1_000, "httpx and Authlib, untuned": 100}
LATENCY_SECONDS = 0.05
SEED = 20_261_123


def credentials(server: Server, count: int, kind: str = "good", start: int = 0) -> list[ClinicCredentials]:
    """Return the invented credentials of `count` clinics."""
    return [
        ClinicCredentials(f"{kind}-{n}", "invented", server.token_url(kind, n), name=f"{kind}-{n}")
        for n in range(start, start + count)
    ]


def doctors(clinic: Clinic) -> Awaitable[list[Doctor]]:
    """Read a clinic's doctors: what every way is measured at."""
    return clinic.doctors.list()


async def with_arzamed(server: Server, clinics: list[ClinicCredentials]) -> list[list[Doctor]]:
    """Fan out, as the README has it."""
    found = []
    async with (
        ArzamedSession(base_url=server.base_url) as session,
        session.fan_out(clinics, doctors, concurrency=CALLERS) as outcomes,
    ):
        async for outcome in outcomes:
            found.append(outcome.unwrap())
    return found


def ways(server: Server) -> dict[str, Callable[[list[ClinicCredentials]], Awaitable[list[list[Doctor]]]]]:
    """Return the ways by name."""
    from rivals.fan_out import by_hand, with_httpx

    return {
        OURS: lambda clinics: with_arzamed(server, clinics),
        EXPERT: lambda clinics: by_hand(server.base_url, clinics, CALLERS),
        "httpx and Authlib": lambda clinics: with_httpx(server.base_url, clinics, CALLERS),
        "httpx and Authlib, untuned": lambda clinics: with_httpx(server.base_url, clinics, CALLERS, tuned=False),
    }


def timed(
    way: Callable[[list[ClinicCredentials]], Awaitable[list[Any]]], clinics: list[ClinicCredentials]
) -> tuple[float, float]:
    """Return the seconds of a cold fan-out, wall clock and processor, its session and event loop included."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    found = asyncio.run(way(clinics))  # type: ignore[arg-type]
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    assert len(found) == len(clinics)
    assert all(len(each) == DOCTORS for each in found)
    return seconds


def times(server: Server, count: int, rounds: int) -> list[Row]:
    """Measure every way in one process, the rounds interleaved and in changing order; slow ways once."""
    clinics = credentials(server, count)
    seconds: dict[str, Times] = {name: [] for name in ways(server) if count <= MOST_WITH.get(name, count)}
    for name in seconds:
        timed(ways(server)[name], clinics[:10])
    for turn in range(rounds):
        for name in seconds if turn % 2 else reversed(seconds):
            if not turn or name not in MOST_WITH:
                wall, cpu = timed(ways(server)[name], clinics)
                seconds[name].append((wall / count, cpu / count))
    ours = seconds[OURS]
    # A slow way is held against the round in which it was measured, the first.
    return [
        row
        for name, measured in seconds.items()
        for row in medians({name: measured, OURS: ours[: len(measured)]}, OURS, clinics=count)
        if row["way"] == name
    ]


def all_times(server: Server, core: int | None, *, quick: bool) -> tuple[list[Row], dict[str, Any]]:
    """Measure every way at every number of clinics in several processes; return the rows, and how many times as fast ours is."""
    found: list[list[Row]] = []
    for count in QUICK_PLAN if quick else PLAN:
        spec = f"{server.origin.rpartition(':')[2]},times,{count}"
        command = [__file__, "--one", spec, *["--quick"] * quick]
        found += in_processes(command, 1 if quick else PROCESSES, core)
    rows = merged(found)
    ratios: dict[str, Any] = {}
    for row in rows:
        wall, cpu = row["wall_us"], row["cpu_us"]
        print(
            f"{row['clinics']:>6,} clinics  {row['way']:27} own {cpu['median']:>9,.0f} us a clinic"
            f" ({cpu['min']:,.0f} to {cpu['max']:,.0f}), wall {wall['median']:>9,.0f}"
        )
        if row["way"] != OURS:
            ratios[f"{row['clinics']:,} clinics against {row['way']}"] = {
                **{clock: turned(row[f"{clock}_ratio"]) for clock in ("cpu", "wall")},
                "goal": GOALS.get(row["clinics"]) if row["way"] == EXPERT else None,
            }
    return rows, ratios


def turned(ratio: dict[str, float]) -> dict[str, float]:
    """Return how many times as fast ours is than another, of how many times as fast the other is."""
    return {"median": 1 / ratio["median"], "min": 1 / ratio["max"], "max": 1 / ratio["min"]}


def flatness(server: Server, rounds: int, many: int) -> dict[str, float]:
    """Measure a clinic's cost among `many` against its cost among 100, in one open session each, in turns."""
    clinics = credentials(server, many)

    async def together() -> float:
        async with ArzamedSession(base_url=server.base_url) as session:
            await session.gather(credentials(server, 100, start=10**6), doctors, concurrency=CALLERS)
            gc.collect()
            started = time.process_time()
            async with session.fan_out(clinics, doctors, concurrency=CALLERS) as outcomes:
                async for outcome in outcomes:
                    outcome.unwrap()
            return time.process_time() - started

    async def in_hundreds() -> float:
        async with ArzamedSession(base_url=server.base_url) as session:
            await session.gather(credentials(server, 100, start=10**6), doctors, concurrency=CALLERS)
            gc.collect()
            started = time.process_time()
            for start in range(0, many, 100):
                async with session.fan_out(clinics[start : start + 100], doctors, concurrency=CALLERS) as outcomes:
                    async for outcome in outcomes:
                        outcome.unwrap()
                for each in clinics[start : start + 100]:
                    session.forget(each)
            return time.process_time() - started

    return spread([asyncio.run(together()) / asyncio.run(in_hundreds()) for _ in range(rounds)])


def token_requests(server: Server, count: int) -> dict[str, Any]:
    """Count the token requests and the sockets of one cold fan-out, and what is open after it."""
    server.reset()
    asyncio.run(with_arzamed(server, credentials(server, count)))
    time.sleep(0.1)
    counts = server.counts()
    return {"tokens a clinic": counts["tokens"]["good"], "most sockets": counts["peak_open"], "left": counts["open"]}


# Some clinics hang, refuse, or fail once.


def floor_seconds(kinds: list[str], deadline: float, mean_wait: float) -> float:
    """Return when the last healthy clinic would be done if nothing took time but slots, latency and deadline.

    64 slots take the clinics in their order. A healthy one takes two responses; one that hangs, its deadline; one
    refused, one response; one that fails once, three responses and the mean wait before a retry.
    """
    takes = {
        "good": 2 * LATENCY_SECONDS,
        "hang": deadline,
        "refuse": LATENCY_SECONDS,
        "once": 3 * LATENCY_SECONDS + mean_wait,
    }
    slots = [0.0] * CALLERS
    last = 0.0
    for kind in kinds:
        end = heapq.heappop(slots) + takes[kind]
        heapq.heappush(slots, end)
        if kind == "good":
            last = max(last, end)
    return last


def faulty(server: Server, count: int, rounds: int) -> dict[str, Any]:
    """Fan out over clinics of which 5 % hang, 1 % refuse their credentials and 5 % respond with 503 once."""
    rng = random.Random(SEED)
    results = []
    for _ in range(rounds):
        kinds = ["hang"] * (count * 5 // 100) + ["refuse"] * (count // 100) + ["once"] * (count * 5 // 100)
        kinds += ["good"] * (count - len(kinds))
        rng.shuffle(kinds)
        clinics = [credentials(server, 1, kind, start=n)[0] for n, kind in enumerate(kinds)]
        server.reset(LATENCY_SECONDS)
        outcomes: dict[str, list[Any]] = {}
        last = 0.0

        async def run(clinics: list[ClinicCredentials] = clinics, outcomes: dict[str, list[Any]] = outcomes) -> float:
            last = 0.0
            async with ArzamedSession(base_url=server.base_url, timeouts=Timeouts(total_seconds=1)) as session:
                started = time.perf_counter()
                async with session.fan_out(clinics, doctors, concurrency=CALLERS) as found:
                    async for outcome in found:
                        kind = outcome.clinic.split("-")[0]
                        outcomes.setdefault(kind, []).append(outcome)
                        if kind == "good":
                            last = time.perf_counter() - started
            return last

        last = asyncio.run(run())
        assert all(isinstance(each, Success) for each in outcomes["good"] + outcomes["once"]), "a healthy one failed"
        assert all(isinstance(each.error, DeadlineExceededError) for each in outcomes["hang"])
        assert all(isinstance(each.error, CredentialsRejectedError) for each in outcomes["refuse"])
        tokens: Any = server.counts()["tokens"]
        assert all(most == 1 for _, most, _ in tokens.values()), tokens
        floor = floor_seconds(kinds, deadline=1.0, mean_wait=0.125)
        results.append({"last_healthy_seconds": last, "floor_seconds": floor, "ratio": last / floor})
    server.reset()
    return {
        "clinics": count,
        "ratio": spread([each["ratio"] for each in results]),
        "rounds": results,
        "every 503-once clinic succeeded": True,
        "token requests": "one for each clinic",
    }


def noisy(server: Server, rounds: int, calls: int) -> dict[str, Any]:
    """Measure the latencies of 99 clinics' calls, alone and beside one that hangs with 1,000 calls queued."""

    async def run(*, hanging: bool) -> float:
        latencies: list[float] = []
        async with ArzamedSession(base_url=server.base_url, timeouts=Timeouts(total_seconds=600)) as session:
            clinics = [session.clinic(each) for each in credentials(server, 99)]
            await asyncio.gather(*(clinic.token() for clinic in clinics))
            stuck: list[asyncio.Task[Any]] = []
            if hanging:
                noisy_one = session.clinic(credentials(server, 1, "hang")[0])
                stuck = [asyncio.create_task(noisy_one.doctors.list()) for _ in range(1000)]
                while session.stats().clinics["hang-0"].in_flight < 16:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0.01)

            async def caller(number: int) -> None:
                for turn in range(calls):
                    started = time.perf_counter()
                    await clinics[(number * calls + turn) % 99].doctors.list()
                    latencies.append(time.perf_counter() - started)

            gc.collect()
            await asyncio.gather(*(caller(number) for number in range(32)))
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)
        return statistics.quantiles(latencies, n=100)[98]

    server.reset(0.01)
    asyncio.run(run(hanging=True))
    pairs = [(asyncio.run(run(hanging=False)), asyncio.run(run(hanging=True))) for _ in range(rounds)]
    server.reset()
    return {
        "p99_ms_alone": spread([alone * 1e3 for alone, _ in pairs]),
        "p99_ms_beside": spread([beside * 1e3 for _, beside in pairs]),
        "ratio": spread([beside / alone for alone, beside in pairs]),
    }


def coalesced(server: Server, rounds: int) -> dict[str, Any]:
    """Measure 1,000 identical concurrent list() calls, with coalesce and without."""

    async def run(*, coalesce: bool) -> tuple[float, int]:
        async with ArzamedSession(base_url=server.base_url, coalesce=coalesce) as session:
            clinic = session.clinic(credentials(server, 1)[0])
            await clinic.doctors.list()
            server.ask("reset")
            gc.collect()
            started = time.perf_counter()
            lists = await asyncio.gather(*(clinic.doctors.list() for _ in range(1000)))
            seconds = time.perf_counter() - started
            assert all(len(each) == DOCTORS for each in lists)
            return seconds, int(str(server.counts()["reads"]))

    pairs = [(asyncio.run(run(coalesce=False)), asyncio.run(run(coalesce=True))) for _ in range(rounds)]
    return {
        "wire requests": max(shared for _, (_, shared) in pairs),
        "calls a second": {
            "without": spread([1000 / seconds for (seconds, _), _ in pairs]),
            "with": spread([1000 / seconds for _, (seconds, _) in pairs]),
        },
        "ratio": spread([alone / shared for (alone, _), (shared, _) in pairs]),
    }


def memory(server: Server, count: int) -> dict[str, Any]:
    """Measure what an idle clinic holds: its handle, its cache, its limits and a token of 1,000 bytes."""

    async def run() -> float:
        import tracemalloc

        async with ArzamedSession(base_url=server.base_url) as session:
            await session.gather(credentials(server, 200, start=10**6), lambda clinic: clinic.token())
            clinics = credentials(server, count)
            handles: list[Clinic] = []
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            handles.extend(session.clinic(each) for each in clinics)
            async with session.fan_out(handles, lambda clinic: clinic.doctors.list()) as outcomes:
                async for outcome in outcomes:
                    outcome.unwrap()
            del outcome
            gc.collect()
            held = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            return held / count

    held = asyncio.run(run())
    return {"clinics": count, "bytes_per_clinic": held, "of them the token": TOKEN_BYTES + sys.getsizeof("")}


def in_a_process_of_its_own(server: Server, what: str, count: int) -> dict[str, Any]:
    """Run one measurement in a fresh process, so that nothing of another is in it."""
    command = [sys.executable, __file__, "--one", f"{server.origin.rpartition(':')[2]},{what},{count}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    """Measure everything and report."""
    parser = new_parser(__doc__, quick="few clinics and rounds, to see that it works")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*httpx")  # Authlib's word on its next dependency
    quick = arguments.quick
    if arguments.one:
        port, what, count = arguments.one.split(",")
        if what == "times":
            rounds = (QUICK_PLAN if quick else PLAN)[int(count)]
            print(json.dumps(times(Server(int(port)), int(count), rounds)))
            return
        measure = {"memory": memory, "tokens": token_requests}[what]
        print(json.dumps(measure(Server(int(port)), int(count))))
        return
    server_core, client_core = cores()
    report: dict[str, Any] = {"facts": facts("aiohttp", "attrs", "cattrs", "orjson", "httpx", "Authlib")}
    report["processes"] = 1 if quick else PROCESSES
    report["quick"] = quick
    print(report["facts"])
    with clinics_server(server_core) as server:
        if client_core is not None:
            os.sched_setaffinity(0, {client_core})
        report["times"], report["ratios"] = all_times(server, client_core, quick=quick)
        many = 300 if quick else 10_000
        for name, measure in {
            "flat": lambda: flatness(server, 1 if quick else 3, many),
            "tokens": lambda: in_a_process_of_its_own(server, "tokens", many),
            "faulty": lambda: faulty(server, 200 if quick else 1000, 1 if quick else 3),
            "noisy": lambda: noisy(server, 1 if quick else 9, 10 if quick else 100),
            "coalesced": lambda: coalesced(server, 2 if quick else 7),
            "memory": lambda: in_a_process_of_its_own(server, "memory", many),
        }.items():
            report[name] = measure()
            print(
                f"{name}: {json.dumps({key: each for key, each in report[name].items() if key != 'rounds'})}",
                flush=True,
            )
    for name, ratio in report["ratios"].items():
        cpu, wall = ratio["cpu"], ratio["wall"]
        print(
            f"{name}: {cpu['median']:.2f} ({cpu['min']:.2f} to {cpu['max']:.2f}), wall {wall['median']:.2f}, goal {ratio['goal']}"
        )
    write_report(report, arguments.out, "fan_out")


if __name__ == "__main__":
    main()
