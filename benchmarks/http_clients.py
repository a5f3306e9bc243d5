"""What a user could pick instead: eight HTTP clients, hand-written aiohttp and this library, each reading the same 20 doctors.

One call is a GET with a bearer token over a warm connection, and its JSON as objects of an attrs class. The server has its own
process and core; each client has processes of its own on the other core, where it takes turns with the expert's aiohttp.
Counted are calls for each second of the processor, with all threads of the client and in user and kernel mode; wall time stands
beside it. The clients are in an environment of their own: `nox -s rivals`.
Prints a table; writes JSON to the folder given with --out.

    python -m pip install -r benchmarks/rivals/clients/requirements.txt
    python benchmarks/http_clients.py --out docs/benchmarks
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
from typing import Any

from rivals.clients import CLIENTS
from rivals.with_aiohttp import PATH
from servers.requests import TOKEN, request_server
from tools.command import new_parser, write_report
from tools.measure import cores, spread
from tools.request_ways import CONNECTIONS, EXPERT, circumstances, opened, warmed
from tools.rounds import Row, in_processes, in_turns, medians, merged

OURS = "arzamed_async"
CALLERS = (1, 32, 128)
PROCESSES, ROUNDS, CALLS = 5, 5, 512
QUICK_PROCESSES, QUICK_ROUNDS, QUICK_CALLS = 1, 2, 256
#: Clients that take several times as long are called less often.
FEWER = {"httpx": 8, "httpx2": 8, "httpx over aiohttp": 2, "niquests": 4, "curl_cffi": 2}


async def measure(name: str, origin: str, *, quick: bool) -> list[Row]:
    """Measure one client once, in turns with the expert's."""
    rounds, calls = (QUICK_ROUNDS, QUICK_CALLS) if quick else (ROUNDS, CALLS)
    found: list[Row] = []
    async with contextlib.AsyncExitStack() as stack:
        own, _ = await stack.enter_async_context(opened(origin, rivals=False))
        ways = {EXPERT: own[EXPERT]}
        if name == OURS:
            ways[OURS] = own["list"]
        else:
            module = importlib.import_module(f"rivals.clients.{CLIENTS[name][0]}")
            headers = {"Authorization": f"Bearer {TOKEN}"}
            ways[name] = await stack.enter_async_context(module.opened(origin + PATH, headers, CONNECTIONS))
        await warmed(ways)
        for callers in CALLERS:
            times = await in_turns(ways, callers, rounds, calls, FEWER)
            found += [{"client": name, **row} for row in medians(times, EXPERT, callers=callers)]
    return found


def figures(rows: list[Row]) -> list[dict[str, Any]]:
    """Return a row for each client and number of callers: calls for each second of the processor, and their ratio to the expert's."""
    found = []
    for row in rows:
        if row["way"] == EXPERT and row["client"] != OURS:
            continue
        cpu = row["cpu_us"]
        rate = spread([1e6 / cpu[key] for key in ("median", "min", "max")])
        found.append({"client": row["way"], "callers": row["callers"], "calls_per_cpu_second": rate, **{
            key: row[key] for key in ("cpu_ratio", "wall_us", "wall_ratio")
        }})  # fmt: skip
    return found


def main() -> None:
    """Measure and report."""
    parser = new_parser(__doc__, quick="few rounds, to see that it works")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, origin = arguments.one.split(",")
        print(json.dumps(asyncio.run(measure(name, origin, quick=arguments.quick))))
        return
    server_core, client_core = cores()
    processes = QUICK_PROCESSES if arguments.quick else PROCESSES
    packages = [each for _, distributions in CLIENTS.values() for each in distributions]
    report = circumstances(
        ["aiohttp", "attrs", "cattrs", "orjson", *packages],
        client_core=client_core,
        processes=processes,
        rounds=QUICK_ROUNDS if arguments.quick else ROUNDS,
        quick=arguments.quick,
    )
    print(report["facts"], report["pinned"], sep="\n")
    found: list[list[Row]] = []
    with request_server(server_core) as origin:
        for _ in range(processes):
            for name in (OURS, *CLIENTS):
                command = [__file__, "--one", f"{name},{origin}", *["--quick"] * arguments.quick]
                found += in_processes(command, 1, client_core)
    report["rows"] = figures(merged(found))
    for row in report["rows"]:
        rate, cpu, wall = row["calls_per_cpu_second"], row["cpu_ratio"], row["wall_ratio"]
        print(
            f"{row['client']:20} {row['callers']:>3} callers {rate['median']:>9,.0f} calls a CPU second,"
            f" {cpu['median']:.2f} ({cpu['min']:.2f} to {cpu['max']:.2f}) of the expert's; wall {wall['median']:.2f}"
        )
    write_report(report, arguments.out, "http_clients")


if __name__ == "__main__":
    main()
