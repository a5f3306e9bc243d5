"""Reading a long list: arzamed_async against the whole body, ijson, pydantic and msgspec, over loopback HTTP.

Every way gets the same bytes from the same server, which has a process and a core of its own. Rounds are interleaved. What
counts is the client's own processor time, which other programs on the machine hardly lengthen. Prints a table; writes JSON to the folder given with --out.

    python benchmarks/streaming.py --out docs/benchmarks
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
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
from rivals.decoding import Rivals
from servers.lists import running_server
from tools.command import new_parser, write_report
from tools.measure import HoldMeter, cores, facts, peak_kib, reset_peak, spread
from tools.records import HOSTILE, RECORDS, hostile

from arzamed_async import ArzamedSession, ClinicCredentials, Endpoint, Limits
from arzamed_async._records.json_array import JsonArrayParser

WAYS = ["batches", "stream", "list", "whole_strict", "whole_lenient", "ijson", "pydantic", "msgspec"]
PLAN = {  # records -> rounds, of each kind
    "doctors": {10: 60, 1_000: 25, 10_000: 9, 100_000: 7, 1_000_000: 5},
    "people": {10: 60, 1_000: 15, 100_000: 2},
}
SLOW_AT = 1_000_000  # what takes long, and is no part of a figure, is measured once there


class Bench:
    """All ways over one server."""

    def __init__(self, port: int, session: ArzamedSession, http: aiohttp.ClientSession) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.clinic = session.clinic(ClinicCredentials("bench", "invented", f"{self.base}/token", name="bench"))
        self.http = http
        self.kept: list[Any] = []  # whole lists, so that it is not the reader who is charged for their end
        self.rivals = {kind: Rivals(kind) for kind in RECORDS}

    async def run(self, way: str, kind: str, records: int) -> float:
        """Read the list in one way; return the seconds until the first record."""
        started = time.perf_counter()
        first = 0.0
        if way in ("batches", "stream", "list"):
            resource = self.clinic.resource(Endpoint(f"{kind}/{records}", RECORDS[kind][0]))
            count = 0
            if way == "list":
                self.kept = await resource.list()
                count = len(self.kept)
                first = time.perf_counter() - started
            elif way == "batches":
                async for batch in resource.batches():
                    first = first or time.perf_counter() - started
                    count += len(batch)
            else:
                async for _ in resource.stream():
                    first = first or time.perf_counter() - started
                    count += 1
        else:
            count, first = await self._rival(way, kind, records, started)
        assert count == records, (way, count)
        return first

    async def _rival(self, way: str, kind: str, records: int, started: float) -> tuple[int, float]:
        rivals = self.rivals[kind]
        headers = {"Authorization": "Bearer invented"}
        async with self.http.get(f"{self.base}/{kind}/{records}", headers=headers) as response:
            if way == "ijson":
                count = 0
                first = 0.0
                async for _ in rivals.with_ijson(response):
                    first = first or time.perf_counter() - started
                    count += 1
                return count, first
            read: Callable[[aiohttp.ClientResponse], Awaitable[list[Any]]] = {
                "whole_strict": rivals.whole_strict,
                "whole_lenient": rivals.whole_lenient,
                "pydantic": rivals.with_pydantic,
                "msgspec": rivals.with_msgspec,
            }[way]
            self.kept = await read(response)
            count = len(self.kept)
        return count, time.perf_counter() - started

    async def timed(self, way: str, kind: str, records: int) -> tuple[float, float]:
        """Return (seconds of the processor, seconds of the clock until the first record)."""
        self.kept = []
        gc.collect()
        started = time.process_time()
        first = await self.run(way, kind, records)
        return time.process_time() - started, first


async def opened(port: int, use: Callable[[Bench], Awaitable[Any]]) -> Any:
    """Run `use` with all that it needs open."""
    connector = aiohttp.TCPConnector()
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as http,
        ArzamedSession(base_url=f"http://127.0.0.1:{port}", limits=Limits(list_bytes=1 << 40)) as session,
    ):
        return await use(Bench(port, session, http))


async def times(bench: Bench, plan: dict[str, dict[int, int]]) -> list[dict[str, Any]]:
    """Measure every way at every length, the rounds interleaved."""
    rows: list[dict[str, Any]] = []
    for kind, lengths in plan.items():
        for records, rounds in lengths.items():
            measured: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
            for way in WAYS:
                await bench.run(way, kind, min(records, 1000))
            for turn in range(rounds):
                for way in WAYS:
                    if turn and records >= SLOW_AT and way in ("pydantic", "whole_strict"):
                        continue
                    measured[way].append(await bench.timed(way, kind, records))
            for way, pairs in measured.items():
                ns = spread([seconds / records * 1e9 for seconds, _ in pairs])
                rows.append(
                    {
                        "kind": kind,
                        "records": records,
                        "way": way,
                        "ns_per_record": ns,
                        "first_ms": spread([first * 1e3 for _, first in pairs]),
                        "rounds": len(pairs),
                    }
                )
                print(
                    f"{kind:8} {records:>9,} {way:14} {ns['median']:>9,.0f} ns/record"
                    f" ({ns['min']:,.0f} to {ns['max']:,.0f})  first {rows[-1]['first_ms']['median']:,.2f} ms",
                    flush=True,
                )
    return rows


async def flatness(bench: Bench, rounds: int = 5) -> dict[str, float]:
    """Measure the cost of a record in one list of 1,000,000 against that in 100 lists of 10,000, in turns."""
    pairs = []
    for _ in range(rounds):
        long = (await bench.timed("batches", "doctors", 1_000_000))[0]
        gc.collect()
        started = time.process_time()
        for _ in range(100):
            await bench.run("batches", "doctors", 10_000)
        pairs.append((long, time.process_time() - started))
    return spread([long / short for long, short in pairs])


async def memory(bench: Bench, way: str, kind: str, records: int) -> dict[str, float]:
    """Measure peak memory over the warm process."""
    await bench.run(way, kind, min(records, 10_000))
    before = reset_peak()
    await bench.run(way, kind, records)
    return {"peak_mib": (peak_kib() - before) / 1024}


async def holds(bench: Bench, way: str, kind: str, records: int) -> dict[str, float]:
    """Measure the longest hold of the event loop."""
    await bench.run(way, kind, 1000)
    longest = []
    gc_longest = []
    for _ in range(3):
        bench.kept = []
        with HoldMeter() as meter:
            await bench.run(way, kind, records)
            await asyncio.sleep(0)  # the step that we are in has to end to be counted
        longest.append(meter.longest_seconds * 1e3)
        gc_longest.append(meter.longest_gc_seconds * 1e3)
    return {"hold_ms": spread(longest)["median"], "gc_ms": spread(gc_longest)["median"]}


def decoded(body: bytes) -> float:
    """Return the seconds that the decoder takes for a body in chunks of 64 KiB, without making objects of it."""
    parser = JsonArrayParser(record_bytes=1 << 30)
    gc.collect()
    started = time.perf_counter()
    for start in range(0, len(body), 65_536):
        parser.feed(body[start : start + 65_536])
        while parser.next_window() is not None:
            pass
    parser.finish()
    return time.perf_counter() - started


def whole(body: bytes) -> float:
    """Return the seconds that orjson takes for the whole body."""
    gc.collect()
    started = time.perf_counter()
    orjson.loads(body)
    return time.perf_counter() - started


async def dripped(bench: Bench, kind: str, size: int) -> dict[str, float]:
    """Read a body in one-byte chunks: bare aiohttp, and through the decoder."""

    async def read(parser: JsonArrayParser | None) -> float:
        gc.collect()
        started = time.perf_counter()
        async with bench.http.get(f"{bench.base}/drip_{kind}/{size}") as response:
            while data := await response.content.readany():
                if parser is not None:
                    parser.feed(data)
                    while parser.next_window() is not None:
                        pass
        return time.perf_counter() - started

    pairs = [(await read(None), await read(JsonArrayParser(record_bytes=1 << 30))) for _ in range(5)]
    bare, ours = spread([a for a, _ in pairs])["median"], spread([b for _, b in pairs])["median"]
    return {"bare_ms": bare * 1e3, "ours_ms": ours * 1e3, "ratio": ours / bare}


async def hostility(bench: Bench, mib: int) -> list[dict[str, Any]]:
    """Measure hostile bodies against a friendly one of the same size and against orjson."""
    size = mib << 20
    friendly = spread([decoded(hostile("friendly", size)) for _ in range(3)])["median"]
    rows = []
    for kind in HOSTILE:
        body = hostile(kind, size)
        pairs = [(decoded(body), whole(body)) for _ in range(3)]
        ours, theirs = spread([a for a, _ in pairs])["median"], spread([b for _, b in pairs])["median"]
        drip = await dripped(bench, kind, size // 16)
        rows.append(
            {
                "kind": kind,
                "mib": mib,
                "decoder_ms": ours * 1e3,
                "orjson_ms": theirs * 1e3,
                "friendly_ms": friendly * 1e3,
                "ratio": ours / max(theirs, friendly),
                "one_byte_chunks": drip,
            }
        )
        print(f"hostile {kind:8} {rows[-1]['ratio']:.2f} of the slower; in one-byte chunks {drip['ratio']:.2f} of bare")
    return rows


def in_a_process_of_its_own(port: int, what: str, way: str, kind: str, records: int) -> dict[str, Any]:
    """Run one measurement in a fresh process, so that nothing of another is in it."""
    command = [sys.executable, __file__, "--one", f"{port},{what},{way},{kind},{records}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    row: dict[str, Any] = json.loads(output.splitlines()[-1])
    print(f"{kind:8} {records:>10,} {way:14} {row}", flush=True)
    return {"kind": kind, "records": records, "way": way, **row}


def one(spec: str) -> None:
    """Run the measurement that `in_a_process_of_its_own` started."""
    port, what, way, kind, records = spec.split(",")
    measure = {"memory": memory, "holds": holds}[what]
    print(json.dumps(asyncio.run(opened(int(port), lambda bench: measure(bench, way, kind, int(records))))))


def figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the ratios that the project has set itself."""
    median = {(row["kind"], row["records"], row["way"]): row["ns_per_record"]["median"] for row in rows}
    found: dict[str, float] = {}
    million = {way: median.get(("doctors", 1_000_000, way)) for way in WAYS}
    if million["batches"]:
        found["batches against whole lenient, 1,000,000 doctors"] = million["whole_lenient"] / million["batches"]
        found["batches against ijson, 1,000,000 doctors"] = million["ijson"] / million["batches"]
        found["stream against batches, 1,000,000 doctors"] = million["batches"] / million["stream"]
    hundred = {way: median[("doctors", 100_000, way)] for way in WAYS}
    found["list against whole lenient, 100,000 doctors"] = hundred["whole_lenient"] / hundred["list"]
    found["list against whole strict, 100,000 doctors"] = hundred["whole_strict"] / hundred["list"]
    return found


def main() -> None:
    """Measure everything and report."""
    parser = new_parser(__doc__, quick="short lists and few rounds, to see that it works")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one)
        return
    plan = PLAN if not arguments.quick else {"doctors": {10: 3, 1000: 3, 10_000: 2, 100_000: 1}, "people": {1000: 2}}
    report: dict[str, Any] = {"facts": facts("aiohttp", "attrs", "cattrs", "orjson", "ijson", "pydantic", "msgspec")}
    report["quick"] = arguments.quick
    print(report["facts"])
    server_core, client_core = cores()
    with running_server(server_core) as port:
        if client_core is not None:
            os.sched_setaffinity(0, {client_core})
        rows = asyncio.run(opened(port, lambda bench: times(bench, plan)))
        lengths = (100_000,) if arguments.quick else (1_000_000, 10_000_000)
        report["times"] = rows
        report["hostile"] = asyncio.run(opened(port, lambda bench: hostility(bench, 1 if arguments.quick else 16)))
        report["memory"] = [
            in_a_process_of_its_own(port, "memory", way, "doctors", records)
            for way, records in [("stream", lengths[0]), ("stream", lengths[-1]), ("whole_lenient", lengths[0])]
        ]
        report["holds"] = [
            in_a_process_of_its_own(port, "holds", way, "doctors", 100_000)
            for way in ("stream", "list", "whole_lenient")
        ]
        if not arguments.quick:
            report["flatness"] = asyncio.run(opened(port, flatness))
            print("cost per record, 1,000,000 against 10,000:", report["flatness"])
    report["figures"] = figures(rows)
    for name, value in report["figures"].items():
        print(f"{name}: {value:.2f}")
    write_report(report, arguments.out, "streaming")


if __name__ == "__main__":
    main()
