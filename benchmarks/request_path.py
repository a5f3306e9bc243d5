"""One warm call after another: `list` and `batches` against plain aiohttp and httpx with Authlib, over loopback.

The server sends fixed bytes and has its own process and core; the clients share the other core. Each event loop is measured
in several processes. Within one, rounds are interleaved and in changing order, and ratios within a round are compared; the
report has the median of the processes' medians, and their least and most. The first figure is the client's own processor
time, which other programs on the machine hardly lengthen; wall time stands beside it. After the ways: responses in other
forms than a short head with a length, and what the ordinary lane costs.
Prints a table; writes JSON to the folder given with --out.

    python benchmarks/request_path.py --out docs/benchmarks
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from servers.requests import DOCTORS, HEAD_BYTES, MANY, request_server
from tools.command import new_parser, write_report
from tools.measure import cores
from tools.request_ways import DIRECT, EXPERT, LANES, circumstances, lanes, opened, warmed
from tools.rounds import Row, in_processes, in_turns, medians, merged

LOOPS = ("asyncio", "uvloop")
CALLERS = (1, 8, 32, 128)
#: Callers of the responses in other forms.
SOME_CALLERS = 32
PROCESSES, ROUNDS, CALLS = 5, 5, 512
QUICK_PROCESSES, QUICK_ROUNDS, QUICK_CALLS = 1, 2, 128
#: A way that takes ten times as long is called less often.
FEWER = {"httpx and Authlib": 8}
IN_PROCESS_CALLS = 10_000

PLAIN = f"{DOCTORS} records"
#: The other forms of a response, by the first part of their path; what goes over TLS has an origin of its own.
FORMS = {
    "chunked": "chunked",
    "TLS": "",
    f"head of {HEAD_BYTES} bytes": "head",
    "gzip": "gzip",
    f"{MANY} records": "many",
}
#: How many times as many calls for each second of the processor as the expert's: what the project has set itself.
GOALS = {
    (PLAIN, 1): 1.85,
    (PLAIN, 32): 2.4,
    (PLAIN, 128): 2.4,
    ("chunked", SOME_CALLERS): 1.8,
    ("TLS", SOME_CALLERS): 2.1,
    (f"head of {HEAD_BYTES} bytes", SOME_CALLERS): 2.2,
    ("gzip", SOME_CALLERS): 1.6,
    (f"{MANY} records", SOME_CALLERS): 1.7,
}


async def measure(loop: str, origin: str, tls_origin: str, *, quick: bool) -> list[Row]:
    """Measure everything once with one event loop."""
    rounds, calls = (QUICK_ROUNDS, QUICK_CALLS) if quick else (ROUNDS, CALLS)
    found: list[Row] = []
    async with opened(origin) as (ways, inside):
        await warmed(ways)
        for callers in CALLERS:
            times = await in_turns(ways, callers, rounds, calls, FEWER)
            found += medians(times, EXPERT, loop=loop, what=PLAIN, callers=callers)
        times = await in_turns(inside, 1, rounds, IN_PROCESS_CALLS)
        found += medians(times, "empty await", loop=loop, what="a token", callers=1)
    for form, path in FORMS.items():
        source = tls_origin if form == "TLS" else f"{origin}/{path}"
        async with opened(source, rivals=False) as (ways, _):
            await warmed(ways, doctors=MANY if path == "many" else DOCTORS)
            del ways["batches"]
            times = await in_turns(ways, SOME_CALLERS, rounds, calls // 2)
            found += medians(times, EXPERT, loop=loop, what=form, callers=SOME_CALLERS)
    async with lanes(origin) as ways:
        for callers in (1, SOME_CALLERS):
            times = await in_turns(ways, callers, rounds, calls // 2)
            found += medians(times, EXPERT, loop=loop, what="lanes", callers=callers)
    return found


def run_one(spec: str, *, quick: bool) -> None:
    """Run the measurement of one process."""
    loop, origin, tls_origin = spec.split(",")
    factory = None
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run(measure(loop, origin, tls_origin, quick=quick))))


@contextlib.contextmanager
def certificate() -> Iterator[tuple[Path, Path]]:
    """Give a new certificate for 127.0.0.1 with its key, and the authority that clients have to trust, as files."""
    import trustme

    with tempfile.TemporaryDirectory() as folder:
        authority, own, trusted = trustme.CA(), Path(folder) / "own.pem", Path(folder) / "trusted.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(own))
        authority.cert_pem.write_to_path(str(trusted))
        yield own, trusted


def figures(rows: list[Row]) -> dict[str, dict[str, Any]]:
    """Return the ratios that the project has set itself, and some for comparison."""
    by = {(row["loop"], row["what"], row["callers"], row["way"]): row for row in rows}
    named: dict[str, dict[str, Any]] = {}

    def put(name: str, row: Row, goal: float | None = None) -> None:
        named[name] = {"cpu": row["cpu_ratio"], "wall": row["wall_ratio"], "goal": goal}

    for (what, callers), goal in GOALS.items():
        for loop in LOOPS:
            put(
                f"{what}, {callers} {'caller' if callers == 1 else 'callers'}, {loop}",
                by[loop, what, callers, "list"],
                goal,
            )
    for lane in (DIRECT, *LANES):
        for callers in (1, SOME_CALLERS):
            name = lane if lane == DIRECT else f"ordinary lane ({lane})"
            put(f"{name}, {callers} {'caller' if callers == 1 else 'callers'}", by["asyncio", "lanes", callers, lane])
    return named


def main() -> None:
    """Measure and report."""
    parser = new_parser(__doc__, quick="few rounds, to see that it works")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*httpx")  # Authlib warns of its next dependency
    if arguments.one:
        run_one(arguments.one, quick=arguments.quick)
        return
    server_core, client_core = cores()
    processes = QUICK_PROCESSES if arguments.quick else PROCESSES
    report = circumstances(
        ["aiohttp", "attrs", "cattrs", "orjson", "uvloop", "httpx", "Authlib", "pydantic"],
        client_core=client_core,
        processes=processes,
        rounds=QUICK_ROUNDS if arguments.quick else ROUNDS,
        quick=arguments.quick,
    )
    print(report["facts"], report["pinned"], sep="\n")
    with (
        certificate() as (own, trusted),
        request_server(server_core) as origin,
        request_server(server_core, own) as tls_origin,
    ):
        commands = {
            loop: [__file__, "--one", f"{loop},{origin},{tls_origin}", *["--quick"] * arguments.quick] for loop in LOOPS
        }
        found: list[list[Row]] = []
        for turn in range(processes):  # of the loops in turns, too
            for loop in LOOPS if turn % 2 else reversed(LOOPS):
                found += in_processes(commands[loop], 1, client_core, {"SSL_CERT_FILE": str(trusted)})
        report["rows"] = merged(sorted(found, key=lambda rows: LOOPS.index(rows[0]["loop"])))
    for row in report["rows"]:
        print(
            f"{row['loop']:8} {row['what']:18} {row['callers']:>3} callers  {row['way']:29}"
            f" own {row['cpu_us']['median']:>9,.2f} us a call, times as fast: {row['cpu_ratio']['median']:.3f};"
            f" wall {row['wall_us']['median']:>9,.2f}, {row['wall_ratio']['median']:.3f}"
        )
    report["figures"] = figures(report["rows"])
    for name, value in report["figures"].items():
        cpu, wall = value["cpu"], value["wall"]
        print(
            f"{name}: {cpu['median']:.2f} ({cpu['min']:.2f} to {cpu['max']:.2f}), wall {wall['median']:.2f}, goal {value['goal']}"
        )
    write_report(report, arguments.out, "request_path")


if __name__ == "__main__":
    main()
