"""Many clinics over a Dask cluster on this machine, one of its workers killed midway, beside one process alone.

All ways read the same 2,000 cold clinics, a token and a list each, from a server in its own process that delays
each response by 100 ms. Times start once the session, or the cluster, is ready, and end when nothing is left
running. Rounds are interleaved. Prints a table; writes JSON to the folder given with --out.

    python benchmarks/dask_fan_out.py --out docs/benchmarks
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

from distributed import Client, LocalCluster
from servers.clinics import DOCTORS, Server, clinics_server
from tools.command import new_parser, write_report
from tools.measure import facts, spread

from arzamed_async import ArzamedSession, Clinic, ClinicCredentials, PoolLimits, SecretFromEnv
from arzamed_async.dask import fan_out_dask

CLINICS = 2_000
LATENCY_SECONDS = 0.1
WORKERS = 2
CALLERS = 64
SHARD = 125
SECRET = "INVENTED_SECRET"
POOL = PoolLimits(connections=CALLERS)


def credentials(server: Server, count: int) -> list[ClinicCredentials]:
    """Return the invented credentials of `count` clinics."""
    return [
        ClinicCredentials(f"good-{n}", SecretFromEnv(SECRET), server.token_url("good", n), name=f"good-{n}")
        for n in range(count)
    ]


async def read(clinic: Clinic) -> tuple[int, int]:
    """Read a clinic's doctors; return their number, and who has read them."""
    return len(await clinic.doctors.list()), os.getpid()


async def one_process(server: Server, clinics: list[ClinicCredentials], callers: int) -> float:
    """Return the seconds of an ordinary fan-out."""
    async with ArzamedSession(base_url=server.base_url, pool=PoolLimits(connections=callers)) as session:
        started = time.perf_counter()
        found = [outcome.unwrap() async for outcome in session.fan_out(clinics, read, concurrency=callers)]
        seconds = time.perf_counter() - started
    assert [doctors for doctors, _ in found] == [DOCTORS] * len(clinics)
    return seconds


async def cluster(server: Server, clinics: list[ClinicCredentials], *, kill: bool) -> dict[str, float]:
    """Return the seconds of a fan-out over workers; with `kill`, one of them is killed when half has come."""
    async with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            asynchronous=True,
        ) as workers,
        Client(workers, asynchronous=True) as client,
    ):
        await client.wait_for_workers(WORKERS)
        await client.run(len, "")  # each has been talked to once
        names: list[str] = []
        first = killed = 0.0
        started = time.perf_counter()
        async with fan_out_dask(
            client, clinics, read, shard_size=SHARD, concurrency=CALLERS, base_url=server.base_url, pool=POOL
        ) as outcomes:
            async for outcome in outcomes:
                doctors, pid = outcome.unwrap()
                assert doctors == DOCTORS
                names.append(outcome.clinic)
                first = first or time.perf_counter() - started
                if kill and not killed and len(names) >= len(clinics) // 2:
                    killed = time.perf_counter() - started
                    os.kill(pid, signal.SIGKILL)
        seconds = time.perf_counter() - started
        assert sorted(names) == sorted(each.name for each in clinics), "each clinic is reported once"
        return {
            "seconds": seconds,
            "first_outcome_seconds": first,
            "killed_at_seconds": killed,
            "reads": float(str(server.counts()["reads"])),
        }


def measure(server: Server, count: int, rounds: int) -> dict[str, Any]:
    """Measure the ways in turns."""
    clinics = credentials(server, count)
    seconds: dict[str, list[float]] = {}
    extra: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for callers in (CALLERS, CALLERS * WORKERS):
            server.reset(LATENCY_SECONDS)
            way = f"one process, {callers} callers"
            seconds.setdefault(way, []).append(asyncio.run(one_process(server, clinics, callers)))
        for kill in (False, True):
            server.reset(LATENCY_SECONDS)
            way = f"Dask, {WORKERS} workers with {CALLERS} callers each" + (", one killed midway" if kill else "")
            found = asyncio.run(cluster(server, clinics, kill=kill))
            seconds.setdefault(way, []).append(found["seconds"])
            extra.setdefault(way, []).append(found)
    return {
        "clinics": count,
        "latency_seconds": LATENCY_SECONDS,
        "shard_size": SHARD,
        "least_seconds": {  # two round trips for each clinic, that many at a time
            str(callers): 2 * LATENCY_SECONDS * count / callers for callers in (CALLERS, CALLERS * WORKERS)
        },
        "seconds": {way: spread(each) for way, each in seconds.items()},
        "rounds": extra,
        "each clinic reported once": True,
    }


def main() -> None:
    """Measure and report."""
    arguments = new_parser(__doc__, quick="few clinics and one round, to see that it works").parse_args()
    os.environ[SECRET] = "invented"
    report: dict[str, Any] = {"facts": facts("aiohttp", "distributed")}
    print(report["facts"])
    with clinics_server() as server:
        report |= measure(server, *((300, 1) if arguments.quick else (CLINICS, 5)))
    for way, figures in report["seconds"].items():
        print(f"{way:60} {figures['median']:6.2f} s ({figures['min']:.2f} to {figures['max']:.2f})")
    for way, found in report["rounds"].items():
        more = [each["reads"] - report["clinics"] for each in found]
        firsts = spread([each["first_outcome_seconds"] for each in found])
        print(f"{way:60} first outcome after {firsts['median']:.2f} s, {max(more):.0f} reads more than clinics")
    write_report(report, arguments.out, "dask_fan_out")


if __name__ == "__main__":
    main()
