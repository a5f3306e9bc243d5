"""Servers that push back, over sockets: the session as it is, and without pacing (`pacing=None`).

The server has a process of its own, and so has each client; nginx is a real one, where it is installed. Prints a table;
writes JSON to the folder given with --out. Takes about seven minutes.

    python benchmarks/pacing_sockets.py --out docs/benchmarks
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import statistics
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from typing import Any

from servers.limited import LimitedServer, limited_server
from servers.nginx import Nginx, nginx, nginx_program
from tools.command import new_parser, write_report
from tools.measure import facts
from tools.pacing_scenarios import has_own_limit, jain, p99_ms
from tools.socket_scenarios import SOCKET_SCENARIOS, SocketScenario

from arzamed_async import ArzamedError, ArzamedSession, Clinic, ClinicCredentials, PacingPolicy, PoolLimits

WAYS = {"paced": PacingPolicy(), "pacing=None": None}
#: A client that knows a limit of concurrency: it has as many connections, and its time is the ideal.
IDEAL = "ideal"


# A client, in its process.


async def client(scenario: SocketScenario, way: str, number: int, api: str, tokens: str) -> dict[str, Any]:
    """Run one process's share of a scenario, when a line on stdin says so."""
    pacing = WAYS.get(way)
    pool = PoolLimits(connections=scenario.ideal_connections) if way == IDEAL else PoolLimits()
    if pacing is not None and scenario.known_rate is not None:
        pacing = PacingPolicy(max_requests_per_second=scenario.known_rate)
    first = number * scenario.clinics
    clinics = {
        f"c{n}": ClinicCredentials(f"id-{n}", "invented", f"{tokens}/token/{n}", name=f"c{n}")
        for n in range(first, first + scenario.clinics)
    }
    loop = asyncio.get_running_loop()
    served = lost = 0
    last_error = ""
    latencies: list[float] = []

    async def one(clinic: Clinic) -> None:
        nonlocal served, lost, last_error
        numbered = int(clinic.name[1:])
        started = loop.time()
        try:
            await clinic.doctors.list()
        except ArzamedError as error:
            lost += scenario.counts(numbered)
            last_error = str(error)
            return
        served += scenario.counts(numbered)
        if not has_own_limit(numbered):
            latencies.append(loop.time() - started)

    async def chain(clinic: Clinic) -> None:
        for _ in range(scenario.calls // scenario.chains):
            await one(clinic)

    async def fetch(clinic: Clinic) -> None:
        await asyncio.gather(*[chain(clinic) for _ in range(scenario.chains)])

    async with ArzamedSession(base_url=f"{api}/api/v1", pacing=pacing, pool=pool) as session:
        if scenario.tokens is None:
            for outcome in await session.gather(clinics.values(), Clinic.token):
                outcome.unwrap()
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        started = loop.time()
        await session.gather(clinics.values(), fetch, concurrency=scenario.concurrency)
        seconds = loop.time() - started
    return {"served": served, "lost": lost, "seconds": seconds, "latencies": latencies, "last_error": last_error}


# The processes of a run.


def finish(processes: list[subprocess.Popen[str]], server: LimitedServer, scenario: str, seed: int) -> list[Any]:
    """Let the clients run when all of them have their tokens, and return their figures."""
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("a client did not start")
    server.start(scenario, seed)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=600)[0]) for process in processes]


def run_clients(server: LimitedServer, scenario: SocketScenario, way: str, seed: int, api: str) -> list[dict[str, Any]]:
    """Run a scenario's clients, each in a process."""
    command = [sys.executable, __file__, "--client", scenario.name, way, api, server.origin]
    processes: list[subprocess.Popen[str]] = []
    try:
        for number in range(scenario.processes):
            processes.append(
                subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        return finish(processes, server, scenario.name, seed)
    finally:
        for process in processes:
            process.kill()
            process.wait(10)


def front(server: LimitedServer, scenario: SocketScenario, program: str | None) -> AbstractContextManager[Nginx | None]:
    """Start nginx where the scenario has one; give it, or None."""
    if not scenario.nginx_status:
        return contextlib.nullcontext()
    assert program is not None
    return nginx(program, server.port, scenario.nginx_status)


def measure(
    server: LimitedServer,
    scenario: SocketScenario,
    way: str,
    seed: int,
    program: str | None,
    ideal_seconds: float = 0.0,
) -> dict[str, Any]:
    """Run a scenario once; return its figures."""
    server.start(scenario.name, seed)
    with front(server, scenario, program) as before:
        runs = run_clients(server, scenario, way, seed, server.origin if before is None else before.origin)
        counts = server.counts()["api" if scenario.tokens is None else "token"]
        if before is not None:
            statuses = before.statuses()
            counts["refused"] = statuses[scenario.nginx_status]
            counts["sent"] = statuses.total()
    if way == "paced" and (errors := [run["last_error"] for run in runs if run["lost"]]):
        print(f"  lost: {errors[0]}")
    seconds = max(run["seconds"] for run in runs)
    served, lost = sum(run["served"] for run in runs), sum(run["lost"] for run in runs)
    calls = scenario.processes * scenario.clinics * scenario.calls
    figures = {
        "served": served / (served + lost),
        "seconds": seconds,
        "refused": counts["refused"] / counts["sent"],
        "requests_per_call": counts["sent"] / calls,
        "fullest_second": counts["fullest_second"],
        "p99_ms": p99_ms([latency for run in runs for latency in run["latencies"]]),
    }
    if ideal_seconds := scenario.ideal_seconds or ideal_seconds:
        figures["over_ideal"] = seconds / ideal_seconds
    if scenario.processes > 1:
        figures["jain"] = jain([run["served"] / run["seconds"] for run in runs])
    return figures


def median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure."""
    return {
        name: None if runs[0][name] is None else round(statistics.median([run[name] for run in runs]), 4)
        for name in runs[0]
    }


def line(scenario: SocketScenario, way: str, row: dict[str, Any]) -> str:
    """Return a row as text."""
    taken = f"x {row['over_ideal']:6.2f}" if "over_ideal" in row else "        "
    text = f"{scenario.name:31} {way:11} {row['served']:7.2%}  {row['seconds']:6.2f} s {taken}"
    text += f"  refused {row['refused']:6.2%}  sent {row['requests_per_call']:.2f}  p99 {row['p99_ms'] or 0:6.0f} ms"
    text += f"  most in a second {row['fullest_second']}"
    return text + (f"  jain {row['jain']:.2f}" if "jain" in row else "")


def main() -> None:
    """Run the scenarios that are chosen."""
    parser = new_parser(__doc__, quick="two scenarios, to see that it works")
    parser.add_argument("--rounds", type=int, default=1, help="the median of several")
    parser.add_argument("--only", default="", help="part of a scenario's name")
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--client", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client is not None:
        name, way, api, tokens, number = options.client
        print(json.dumps(asyncio.run(client(SOCKET_SCENARIOS[name], way, int(number), api, tokens))))
        return
    chosen = [scenario for name, scenario in SOCKET_SCENARIOS.items() if options.only in name]
    if options.quick:
        chosen = [scenario for scenario in chosen if scenario.name in {"500/s, burst 50", "a known limit of 50/s"}]
    program = nginx_program()
    if program is None and any(scenario.nginx_status for scenario in chosen):
        print("nginx is not installed (Debian: nginx-light): its scenarios are left out")
        chosen = [scenario for scenario in chosen if not scenario.nginx_status]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and clients are stopped
    rows = []
    started = time.perf_counter()
    with limited_server() as server:
        for scenario in chosen:
            ideal = measure(server, scenario, IDEAL, 0, program)["seconds"] if scenario.ideal_connections else 0.0
            for way in options.ways:
                row = median([measure(server, scenario, way, seed, program, ideal) for seed in range(options.rounds)])
                rows.append(
                    {"scenario": scenario.name, "clinics": scenario.clinics, "asked": scenario.asked, "way": way, **row}
                )
                print(line(scenario, way, row), flush=True)
    print(f"{time.perf_counter() - started:.0f} s")
    report = {
        "facts": facts("aiohttp", "attrs"), "rounds": options.rounds, "quick": options.quick,
        "nginx": program is not None, "rows": rows,
    }  # fmt: skip
    write_report(report, options.out, "pacing_sockets")


if __name__ == "__main__":
    main()
