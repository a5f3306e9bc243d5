"""Inference over a long list: `infer_model` and `check_model` against `stream()` alone, over loopback HTTP.

`stream` is that of an endpoint whose class is not known yet: OpenRecords, which the command reads as well. `typed stream` is that of the
class which inference has written. All ways read the same bytes from the same server, which has a process and a core of its own. Rounds are interleaved. What
counts is the client's own processor time. Memory is the peak of a process of its own over what it took after 10,000 records.
Prints a table; writes JSON to the folder given with --out. With --check it ends with an error if inference takes more than
twice the time of `stream()`, or memory grows by more than 8 MiB.

    python benchmarks/inference.py --out docs/benchmarks
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
import types
from typing import Any

from servers.lists import running_server
from tools.command import new_parser, write_report
from tools.measure import cores, facts, peak_kib, reset_peak, spread

from arzamed_async import ArzamedSession, Clinic, ClinicCredentials, Endpoint, Limits, OpenRecord, infer_model

WAYS = ("stream", "typed stream", "infer", "infer with enums")
KINDS = ("doctors", "people")
MOST_RATIO, MOST_MIB = 2.0, 8.0
#: The class of each kind of records, once it has been written.
_CLASSES: dict[str, type[Any]] = {}


async def written(clinic: Clinic, kind: str) -> type[Any]:
    """Return the class that inference writes for these records."""
    model = await infer_model(clinic.resource(Endpoint(f"{kind}/1000", OpenRecord)).stream(), name=kind, path=kind)
    module = types.ModuleType(kind)
    exec(compile(model.source, kind, "exec"), vars(module))  # what the benchmark's own records have become
    sys.modules[kind] = module  # where names in annotations are looked up
    return next(each for each in vars(module).values() if isinstance(each, Endpoint)).model


async def run(clinic: Clinic, way: str, kind: str, records: int) -> None:
    """Read the list in one way."""
    model: type[Any] = _CLASSES[kind] if way == "typed stream" else OpenRecord
    stream = clinic.resource(Endpoint(f"{kind}/{records}", model)).stream()
    if way.endswith("stream"):
        count = 0
        async for _ in stream:
            count += 1
    else:
        inferred = await infer_model(stream, name=kind, enums=way.endswith("enums"))
        count = inferred.records
    assert count == records, (way, count)


async def opened(port: int, use: Any) -> Any:
    """Run `use` with a clinic of the server."""
    base = f"http://127.0.0.1:{port}"
    async with ArzamedSession(base_url=base, limits=Limits(list_bytes=1 << 40)) as session:
        return await use(session.clinic(ClinicCredentials("bench", "invented", f"{base}/token", name="bench")))


async def times(clinic: Clinic, records: int, rounds: int) -> list[dict[str, Any]]:
    """Measure each way, the rounds interleaved."""
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        _CLASSES[kind] = await written(clinic, kind)
        measured: dict[str, list[float]] = {way: [] for way in WAYS}
        for way in WAYS:
            await run(clinic, way, kind, 1000)
        for _ in range(rounds):
            for way in WAYS:
                gc.collect()
                started = time.process_time()
                await run(clinic, way, kind, records)
                measured[way].append(time.process_time() - started)
        for way, seconds in measured.items():
            ratio = spread([one / alone for one, alone in zip(seconds, measured["stream"], strict=True)])
            ns = spread([each / records * 1e9 for each in seconds])
            rows.append({"kind": kind, "way": way, "records": records, "ns_per_record": ns, "times_stream": ratio})
            print(
                f"{kind:8} {records:>9,} {way:18} {ns['median']:>8,.0f} ns/record, {ratio['median']:.2f} times stream()",
                flush=True,
            )
    return rows


async def memory(clinic: Clinic, kind: str, records: int) -> float:
    """Measure the peak in MiB over the warm process."""
    await run(clinic, "infer", kind, 10_000)
    gc.collect()
    before = reset_peak()
    await run(clinic, "infer", kind, records)
    return (peak_kib() - before) / 1024


def main() -> None:
    """Measure and report, or check."""
    parser = new_parser(__doc__, quick="short lists, to see that it works")
    parser.add_argument("--check", action="store_true", help="hold the figures against their limits")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        port, kind, records = arguments.one.split(",")
        print(json.dumps(asyncio.run(opened(int(port), lambda clinic: memory(clinic, kind, int(records))))))
        return
    report: dict[str, Any] = {"facts": facts("aiohttp", "attrs", "cattrs", "orjson"), "quick": arguments.quick}
    records, rounds = (20_000, 2) if arguments.quick else (100_000, 7)
    most = 100_000 if arguments.quick else 1_000_000
    server_core, client_core = cores()
    with running_server(server_core) as port:
        if client_core is not None:
            os.sched_setaffinity(0, {client_core})
        report["times"] = asyncio.run(opened(port, lambda clinic: times(clinic, records, rounds)))
        report["memory"] = []
        for kind in KINDS:
            command = [sys.executable, __file__, "--one", f"{port},{kind},{most}"]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            report["memory"].append({"kind": kind, "records": most, "peak_mib": found})
            print(f"{kind:8} {most:>9,} peak memory {found:+.2f} MiB")
    if arguments.check:
        worse = [
            f"{each['kind']}, {each['way']}" for each in report["times"] if each["times_stream"]["median"] > MOST_RATIO
        ]
        worse += [f"{each['kind']}, memory" for each in report["memory"] if each["peak_mib"] > MOST_MIB]
        if worse:
            sys.exit(f"over its limit: {'; '.join(worse)}")
        return
    write_report(report, arguments.out, "inference")


if __name__ == "__main__":
    main()
