"""What a token store costs, and what it costs where it is out: a session without one, with files, with a real Redis.

Prints a table; writes JSON to the folder given with --out. Needs `redis-server` (Debian's).

    python benchmarks/token_store.py --out docs/benchmarks
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from tools.command import new_parser, write_report
from tools.measure import facts, spread

from arzamed_async import ArzamedSession, ClinicCredentials, StoredToken, TokenStore, TokenStoreFailed
from arzamed_async.stores import FileTokenStore, RedisTokenStore
from arzamed_async.testing import FakeArzamed

WARM_CALLS = 20_000
ROUNDS = 15
FIRSTS = 40
HELD = 5_000
#: As long as the tokens of a real identity service are: a JWT of RS256 with a dozen claims.
TOKEN_BYTES = 1_000


class Redis:
    """A Redis of the benchmark's own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = int(one.getsockname()[1])
        program = shutil.which("redis-server")
        assert program, "redis-server is not here"
        quiet = ["--save", "", "--appendonly", "no", "--dir", str(folder), "--logfile", str(folder / "log")]
        self.process = subprocess.Popen([program, "--bind", "127.0.0.1", "--port", str(self.port), *quiet])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port)
        end = time.monotonic() + 20
        while True:
            try:
                self.client.ping()
                return
            except redis.RedisError:
                assert time.monotonic() < end, "redis-server does not start"
                time.sleep(0.01)

    def calls(self) -> int:
        """Return how many scripts it has run."""
        return int(self.client.info("commandstats").get("cmdstat_eval", {}).get("calls", 0))

    def close(self) -> None:
        """Kill it."""
        self.client.close()
        self.process.kill()
        self.process.wait()


@contextmanager
def server(folder: Path) -> Iterator[Redis]:
    """Give a Redis, and kill it at the end."""
    started = Redis(folder)
    try:
        yield started
    finally:
        started.close()


def session(fake: FakeArzamed, store: TokenStore | None, **options: Any) -> ArzamedSession:
    """Return a session on the fake."""
    return ArzamedSession(base_url=fake.base_url, token_store=store, **options)


async def warm(fake: FakeArzamed, stores: dict[str, TokenStore | None]) -> dict[str, Any]:
    """Return nanoseconds of `await clinic.token()` while the local token is good, for each kind of store."""
    credentials = fake.add_clinic("warm")
    sessions = {name: session(fake, store) for name, store in stores.items()}
    clinics = {name: each.clinic(credentials) for name, each in sessions.items()}
    found: dict[str, list[float]] = {name: [] for name in stores}
    for clinic in clinics.values():
        await clinic.token()
    for turn in range(ROUNDS):
        for name in list(clinics) if turn % 2 else reversed(list(clinics)):
            clinic = clinics[name]
            gc.collect()
            started = time.process_time()
            for _ in range(WARM_CALLS):
                await clinic.token()
            found[name].append((time.process_time() - started) / WARM_CALLS * 1e9)
    for each in sessions.values():
        await each.aclose()
    ratios = {
        name: spread([mine / bare for mine, bare in zip(found[name], found["none"], strict=True)]) for name in stores
    }
    return {"nanoseconds": {name: spread(values) for name, values in found.items()}, "ratio": ratios}


async def first(fake: FakeArzamed, store: TokenStore | None, *, kept: bool) -> dict[str, float]:
    """Return milliseconds until a new session has a clinic's token: requested, or loaded from the store."""
    found: list[float] = []
    for n in range(FIRSTS):
        credentials = fake.add_clinic(f"first-{n}-{time.monotonic_ns()}")
        if kept:
            async with session(fake, store) as other:
                await other.clinic(credentials).token()
        async with session(fake, store) as mine:
            started = time.perf_counter()
            await mine.clinic(credentials).token()
            found.append((time.perf_counter() - started) * 1e3)
    return spread(found)


async def outage(fake: FakeArzamed, store: TokenStore, clinics: int = 20) -> dict[str, Any]:
    """Return what a store that is out costs a session: calls that failed, events, and the slowest call's milliseconds."""
    events: list[object] = []
    credentials = [fake.add_clinic(f"outage-{n}-{time.monotonic_ns()}") for n in range(clinics)]
    failed, slowest = 0, 0.0
    async with session(fake, store, observers=[events.append]) as mine:
        for each in credentials:
            started = time.perf_counter()
            try:
                await mine.clinic(each).doctors.list()
            except Exception:  # noqa: BLE001 - it is counted
                failed += 1
            slowest = max(slowest, time.perf_counter() - started)
    told = sum(isinstance(event, TokenStoreFailed) for event in events)
    return {"calls": clinics, "failed": failed, "events": told, "slowest_ms": slowest * 1e3}


HOLDER = """
import asyncio, json, sys
from arzamed_async import ArzamedSession, ClinicCredentials
from arzamed_async.stores import FileTokenStore, RedisTokenStore
plan = json.loads(sys.argv[1])
store = (RedisTokenStore if "://" in plan["place"] else FileTokenStore)(plan["place"])
async def main():
    async with ArzamedSession(base_url=plan["base_url"], token_store=store) as session:
        await session.clinic(ClinicCredentials(**plan["clinic"])).token()
asyncio.run(main())
"""


async def killed(fake: FakeArzamed, place: str, store: TokenStore) -> float:
    """Return the seconds from kill -9 of a process during its token request until another process has a token."""
    credentials = fake.add_clinic(f"killed-{time.monotonic_ns()}")
    fake.set_latency(600, credentials, on="token")
    clinic = {
        "client_id": credentials.client_id, "client_secret": str(credentials.client_secret),
        "token_url": credentials.token_url,
    }  # fmt: skip
    plan = json.dumps({"place": place, "base_url": fake.base_url, "clinic": clinic})
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, plan)
    while not fake.token_requests(credentials):  # noqa: ASYNC110 - it is another process's doing
        await asyncio.sleep(0.005)
    fake.set_latency(None, credentials, on="token")
    async with session(fake, store) as mine:
        waiting = asyncio.ensure_future(mine.clinic(credentials).token())
        await asyncio.sleep(0.2)  # it has found the lease taken
        os.kill(holder.pid, signal.SIGKILL)
        started = time.perf_counter()
        await waiting
        seconds = time.perf_counter() - started
    await holder.wait()
    return seconds


async def redis_sizes(fake: FakeArzamed, server: Redis) -> dict[str, float]:
    """Return the scripts that Redis runs for the process that requests a token, and for each other; and bytes a clinic."""
    store = RedisTokenStore(server.url)
    credentials = [fake.add_clinic(f"size-{n}") for n in range(100)]
    server.client.flushall()
    calls = [server.calls()]
    for _ in range(2):
        async with session(fake, store) as each:
            await each.gather(credentials, lambda clinic: clinic.token())
        calls.append(server.calls())
    await store.aclose()
    server.client.flushall()
    server.client.memory_purge()
    empty, store = int(server.client.info("memory")["used_memory"]), RedisTokenStore(server.url)
    for n in range(HELD):
        key = f"{n:064x}"
        lease = await store.acquire(key, 10)
        assert lease is not None
        await store.save(key, StoredToken("t" * TOKEN_BYTES, 0, 3600), lease)
        await store.release(lease)
    full = int(server.client.info("memory")["used_memory"])
    await store.aclose()
    return {
        "scripts_who_asks": (calls[1] - calls[0]) / len(credentials),
        "scripts_each_other": (calls[2] - calls[1]) / len(credentials),
        "bytes_a_clinic": (full - empty) / HELD,
    }


async def held_kib() -> float:
    """Return KiB that a process keeps for a clinic whose token it holds: credentials and token, as it is given them."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"access_token": "t" * TOKEN_BYTES, "token_type": "Bearer", "expires_in": 3600}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while request := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(request.lower().partition(b"content-length:")[2].split(None, 1)[0]))
                writer.write(head + body)
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with ArzamedSession(base_url=f"http://127.0.0.1:{port}") as mine:

        def credentials(n: int) -> ClinicCredentials:
            url = f"http://127.0.0.1:{port}/{n}/token"
            return ClinicCredentials(f"held-{n}", f"invented-secret-{n}", url, name=f"clinic {n}")

        await mine.clinic(credentials(0)).token()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        async with mine.fan_out((credentials(n) for n in range(1, HELD)), lambda clinic: clinic.token()) as outcomes:
            async for outcome in outcomes:
                outcome.unwrap()
        gc.collect()
        kib = (tracemalloc.get_traced_memory()[0] - before) / (HELD - 1) / 1024
        tracemalloc.stop()
    listening.close()
    await listening.wait_closed()
    return kib


async def measure(folder: Path) -> dict[str, Any]:
    """Return all figures."""
    found: dict[str, Any] = {"facts": facts("aiohttp", "redis", "filelock")}
    with server(folder) as running:
        found["facts"]["redis-server"] = running.client.info()["redis_version"]
        place = {"file": str(folder / "tokens"), "redis": running.url}
        async with FakeArzamed() as fake:
            file, kept = FileTokenStore(place["file"]), RedisTokenStore(running.url)
            found["warm"] = await warm(fake, {"none": None, "file": file, "redis": kept})
            found["first_ms"] = {
                "none": await first(fake, None, kept=False),
                **{
                    f"{name}, {'kept' if there else 'asked for'}": await first(fake, store, kept=there)
                    for name, store in (("file", file), ("redis", kept))
                    for there in (False, True)
                },
            }
            found["killed_seconds"] = {
                name: await killed(fake, place[name], store) for name, store in (("file", file), ("redis", kept))
            }
            found["redis"] = await redis_sizes(fake, running)
            running.process.send_signal(signal.SIGSTOP)
            found["outage"] = {"paused": await outage(fake, RedisTokenStore(running.url))}
            running.process.send_signal(signal.SIGCONT)
            running.client.close()
            running.process.kill()
            running.process.wait()
            found["outage"]["down"] = await outage(fake, RedisTokenStore(running.url))
            found["outage"]["without a store"] = await outage(fake, None)  # type: ignore[arg-type]
            await kept.aclose()
            await file.aclose()
    found["held_kib"] = await held_kib()
    return found


def table(found: dict[str, Any]) -> str:
    """Return the figures for a reader."""
    lines = []
    for name, ratio in found["warm"]["ratio"].items():
        each = found["warm"]["nanoseconds"][name]["median"]
        lines.append(
            f"warm token(), {name:6}  {each:7.0f} ns  {ratio['median']:.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})"
        )
    lines += [f"first token, {name:18} {each['median']:6.1f} ms" for name, each in found["first_ms"].items()]
    lines += [f"after kill -9, {name:6} {each:6.2f} s" for name, each in found["killed_seconds"].items()]
    lines += [f"{name}: {each}" for name, each in found["outage"].items()]
    lines += [f"redis: {found['redis']}", f"held: {found['held_kib']:.2f} KiB a clinic"]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write with --out."""
    out = new_parser(__doc__, quick="what the other benchmarks take: this one is quick").parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder)))
    print(table(found))
    write_report(found, out, "token_store")


if __name__ == "__main__":
    main()
