"""How long a cancelled call takes to end: from task.cancel() to the end of its task, for each kind of call.

The server runs in its own process. A fixed number of calls is always in progress, over few connections; each is
cancelled after a random time, in whatever state. A plain asyncio.sleep among them shows the share of a busy event
loop alone. Wall time is reported with thread time, which other programs on the machine do not lengthen.
Prints tables; writes JSON to the folder given with --out.

    python benchmarks/cancellation.py --out docs/benchmarks
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from servers.clinics import Server, clinics_server
from tools.command import new_parser, write_report
from tools.measure import facts

from arzamed_async import ArzamedSession, Clinic, ClinicCredentials, PoolLimits

SEED = 20_261_125
CALLS = 10_000
UNDER_WAY = (8, 64)
LATENCY_SECONDS = 0.005
MOST_SECONDS = 0.03
POOL = PoolLimits(connections=16, connections_per_clinic=4)


async def streamed(clinic: Clinic) -> None:
    async with clinic.doctors.stream() as doctors:
        async for _ in doctors:
            pass


async def fanned_out(session: ArzamedSession, clinics: list[Clinic]) -> None:
    async with session.fan_out(clinics, lambda clinic: clinic.doctors.list(), concurrency=4) as outcomes:
        async for _ in outcomes:
            pass


async def merged(session: ArzamedSession, clinics: list[Clinic]) -> None:
    async with session.merge(clinics, lambda clinic: clinic.doctors.stream(), concurrency=4) as records:
        async for _ in records:
            pass


Seconds = dict[str, list[tuple[float, float]]]  # by kind of call: wall time, the thread's own
Make = Callable[[ArzamedSession, list[Clinic]], Awaitable[object]]
KINDS: dict[str, Make] = {
    "asyncio.sleep": lambda _session, _clinics: asyncio.sleep(60),
    "token": lambda _session, clinics: clinics[0].token(),
    "get": lambda _session, clinics: clinics[0].get("equipe/doctors"),
    "list": lambda _session, clinics: clinics[0].doctors.list(),
    "stream": lambda _session, clinics: streamed(clinics[0]),
    "fan_out": fanned_out,
    "merge": merged,
}


async def one(
    kind: str, session: ArzamedSession, clinics: list[Clinic], chance: random.Random, seconds: Seconds
) -> None:
    """Start a call, cancel it, and note how long it took to end, if it was still under way."""
    task = asyncio.ensure_future(KINDS[kind](session, clinics))
    await asyncio.sleep(chance.random() * MOST_SECONDS)
    ended: list[tuple[float, float]] = []
    task.add_done_callback(lambda _: ended.append((time.perf_counter(), time.thread_time())))
    wall, own = time.perf_counter(), time.thread_time()
    if task.cancel():
        await asyncio.wait([task])
        seconds[kind].append((ended[0][0] - wall, ended[0][1] - own))
    else:
        task.result()


async def storm(server: Server, calls: int, under_way: int) -> Seconds:
    """Return the seconds each cancelled call took, by kind."""
    chance = random.Random(SEED)
    seconds: Seconds = {kind: [] for kind in KINDS}
    kinds = iter([kind for _ in range(calls // len(KINDS) + 1) for kind in KINDS])
    async with ArzamedSession(base_url=server.base_url, pool=POOL) as session:
        fresh = iter(range(10**9))  # a clinic of its own now and then, for a token that is not there yet

        def clinics() -> list[Clinic]:
            numbers = [next(fresh) + 100 if chance.random() < 0.2 else chance.randrange(20) for _ in range(6)]
            return [
                session.clinic(ClinicCredentials(f"good-{n}", "invented", server.token_url("good", n), name=f"c{n}"))
                for n in numbers
            ]

        async def caller() -> None:
            for kind in kinds:
                await one(kind, session, clinics(), chance, seconds)

        await asyncio.gather(*(caller() for _ in range(under_way)))
    return seconds


def figures(seconds: list[tuple[float, float]]) -> dict[str, float]:
    """Return how many were cancelled, and median, p99 and the longest, in milliseconds."""
    row: dict[str, float] = {"cancelled": len(seconds)}
    for name, values in zip(("wall", "own"), zip(*seconds, strict=True), strict=True):
        cuts = statistics.quantiles(values, n=100)
        row |= {
            f"{name}_median_ms": cuts[49] * 1e3,
            f"{name}_p99_ms": cuts[98] * 1e3,
            f"{name}_max_ms": max(values) * 1e3,
        }
    return row


def main() -> None:
    """Measure and report."""
    arguments = new_parser(__doc__, quick="few calls, to see that it works").parse_args()
    report: dict[str, Any] = {"facts": facts("aiohttp"), "seed": SEED, "connections": POOL.connections}
    print(report["facts"])
    with clinics_server() as server:
        server.reset(LATENCY_SECONDS)
        for under_way in UNDER_WAY:
            seconds = asyncio.run(storm(server, 1000 if arguments.quick else CALLS, under_way))
            rows = {kind: figures(values) for kind, values in seconds.items()}
            calls = [each for kind, values in seconds.items() if kind != "asyncio.sleep" for each in values]
            rows["all calls"] = figures(calls)
            report[f"{under_way} under way"] = rows
            print(f"{under_way} calls under way, {POOL.connections} connections, seed {SEED}; milliseconds")
            print(
                f"{'':14} {'cancelled':>9}   {'wall median':>11} {'p99':>8} {'max':>8}   {'own median':>11} {'p99':>8} {'max':>8}"
            )
            for kind, row in rows.items():
                print(
                    f"{kind:14} {row['cancelled']:9.0f}   {row['wall_median_ms']:11.2f} {row['wall_p99_ms']:8.2f} "
                    f"{row['wall_max_ms']:8.2f}   {row['own_median_ms']:11.2f} {row['own_p99_ms']:8.2f} {row['own_max_ms']:8.2f}"
                )
    write_report(report, arguments.out, "cancellation")


if __name__ == "__main__":
    main()
