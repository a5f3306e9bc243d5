"""A simulated day of many clinics with faults in all of it: several processes share tokens through files, others through a Redis.

Each hour passes at once: the sessions' clocks, the file store's and the server's are set, and what the Redis keeps is made an
hour older. Meanwhile responses fail (HTTP 500, reset, cut, slow, for the API and for tokens), tokens are revoked, and the
stores are out of order for some hours. The run fails unless each clinic was read in each hour by each process, no record is
another clinic's, each clinic-hour has cost one token for each store (and one for each revocation), and nothing is left.
Prints the hours; writes JSON to the folder given with --out. Needs `redis-server` (Debian's).

    python benchmarks/day.py --out docs/benchmarks
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tools.command import new_parser, write_report
from tools.measure import facts

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    Doctor,
    Event,
    Failure,
    RetryPolicy,
    TokenStore,
    TokenStoreFailed,
)
from arzamed_async._tokens import guarded_store
from arzamed_async.stores import FileTokenStore, RedisTokenStore

HOUR = 3600.0
START = 1_893_456_000.0
#: Of all API requests and all token requests, those that fail, and how.
FAULTS = {"500": 0.01, "reset": 0.006, "cut": 0.006, "slow": 0.004}
TOKEN_FAULTS = {"500": 0.01, "reset": 0.004}
REVOKED_SHARE = 0.05
#: After an hour without a store, so many rests of it are waited: it is used again from then on.
RESTS = 2.1
#: The time limit of a store's call. The machine may have other work, and a store that was late is no part of what is counted.
STORE_SECONDS = 20.0
#: Rounds in which a process reads its clinics, until the last has been read.
ROUNDS = 8
#: Older by an hour: what a RedisTokenStore keeps.
AGE = """
for _, key in ipairs(redis.call('KEYS', '*:kept')) do
  local left = redis.call('PTTL', key) - tonumber(ARGV[1])
  if left <= 0 then redis.call('DEL', key) else
    redis.call('PEXPIRE', key, left)
    redis.call('HSET', key, 'born', string.format('%.0f', redis.call('HGET', key, 'born') - ARGV[1] * 1000))
  end
end
return 0
"""


def answer(status: int, value: Any) -> bytes:
    """Return a response with JSON."""
    body = json.dumps(value).encode()
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


class Platform:
    """The clinics' API and their token endpoint, one for each store, with faults by a seed."""

    def __init__(self) -> None:
        self.chance = random.Random(7)
        self.valid: dict[str, str] = {}  # tokens, and whose they are
        self.issued: Counter[str] = Counter()  # in this hour, by store and clinic
        self.figures: Counter[str] = Counter()
        self.connections = 0

    def begin_hour(self) -> None:
        """Let all tokens expire."""
        self.valid.clear()
        self.issued.clear()

    def revoke(self, share: float, clinics: int) -> list[str]:
        """Revoke the tokens of some clinics; return their names."""
        revoked = {f"c{n}" for n in range(clinics) if self.chance.random() < share}
        self.valid = {token: whose for token, whose in self.valid.items() if whose.partition("/")[2] not in revoked}
        return sorted(revoked)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self.respond(lines[0].split(" ")[1], headers["authorization"], writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    def luck(self, faults: dict[str, float]) -> str:
        """Return the fault of the next request, "" for most."""
        luck = self.chance.random()
        for fault, share in faults.items():
            if luck < share:
                return fault
            luck -= share
        return ""

    async def respond(self, target: str, authorization: str, writer: asyncio.StreamWriter) -> bool:
        """Write the response; return whether the connection lives."""
        is_token = target.startswith("/token/")
        fault = self.luck(TOKEN_FAULTS if is_token else FAULTS)
        self.figures["token requests" if is_token else "API requests"] += 1
        if fault:
            self.figures[f"{'token' if is_token else 'API'}: {fault}"] += 1
        if fault == "reset":
            writer.transport.abort()
            return False
        if fault == "500":
            response = answer(500, {"error": "invented"})
        elif is_token:
            response = answer(200, self.token(target, authorization))
        else:
            response = self.doctors(authorization)
        if fault == "cut":
            writer.write(response[:-9])
            return False
        if fault == "slow":
            await asyncio.sleep(0.05)
        writer.write(response)
        return True

    def token(self, target: str, authorization: str) -> dict[str, Any]:
        """Return a new token of the clinic."""
        store, clinic = target.split("/")[2:]
        name = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")[0]
        assert name == clinic, "another clinic's credentials"
        self.issued[f"{store}/{clinic}"] += 1
        self.figures["tokens"] += 1
        token = f"invented.{store}.{clinic}.{self.figures['tokens']}".ljust(900, "x")
        self.valid[token] = f"{store}/{clinic}"
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(HOUR)}

    def doctors(self, authorization: str) -> bytes:
        """Return the doctors of the token's clinic."""
        whose = self.valid.get(authorization.removeprefix("Bearer "))
        if whose is None:
            self.figures["API: 401"] += 1
            return answer(401, {"error": "Expired token"})
        clinic = whose.partition("/")[2]
        return answer(200, [{"name": f"Dr. Inventata {clinic} {n}", "profileImage": None} for n in range(3)])


# A process with a session.


def resident_bytes() -> int:
    """Return the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """Return the number of open files and sockets."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def lines_of_stdin() -> AsyncIterator[dict[str, Any]]:
    """Yield the coordinator's commands, without a thread."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async for line in reader:
        yield json.loads(line)
    transport.close()


async def read_all(
    session: ArzamedSession, wanted: list[ClinicCredentials], errors: Counter[str], foreign: list[str]
) -> tuple[int, int]:
    """Read these clinics, again where that fails; return how many were read, and how many rounds it took."""

    async def doctors(clinic: Clinic) -> list[Doctor]:
        return await clinic.doctors.list()

    left, rounds = wanted, 0
    while left and rounds < ROUNDS:
        rounds += 1
        outcomes = await session.gather(left, doctors, concurrency=24)
        assert len(outcomes) == len(left)
        again: list[ClinicCredentials] = []
        for credentials, outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, Failure):
                errors[type(outcome.error).__name__] += 1
                again.append(credentials)
                continue
            expected = [f"Dr. Inventata {credentials.client_id} {n}" for n in range(3)]
            if [doctor.name for doctor in outcome.value] != expected:
                foreign.append(credentials.client_id)
        if again:
            await asyncio.sleep(1.1)  # a failure of a token request is shared for a second
        left = again
    return len(wanted) - len(left), rounds


async def worker(place: str, origin: str, traced: bool, rests: float) -> None:
    """Read what the coordinator says, and report."""
    hours = 0.0

    def clock() -> float:  # the same in all processes; it runs on within an hour
        return START + hours * HOUR + time.monotonic()

    kind = "redis" if place.startswith("redis://") else "file"
    store: TokenStore = RedisTokenStore(place) if kind == "redis" else FileTokenStore(place, clock=clock)
    retry = RetryPolicy(initial_backoff_seconds=0.002, max_backoff_seconds=0.02)
    guarded_store.ANSWER_SECONDS = guarded_store.BUDGET_SECONDS = STORE_SECONDS
    guarded_store.REST_SECONDS = rests
    for number in range(
        300_000
    ):  # CPython's table of interned strings gets its size: it is 2 MB in one piece, and no leak
        sys.intern(f"{number} warms up")
    if traced:
        tracemalloc.start()
    failed: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, TokenStoreFailed):
            failed.append(event.error)

    session = ArzamedSession(
        base_url=f"{origin}/api",
        token_store=store,
        retry=retry,
        observers=[observe],
        clock=clock,
        wall_clock=clock,
    )
    async with session:
        async for command in lines_of_stdin():
            failed.clear()
            hours, errors, foreign = command["hour"], Counter[str](), list[str]()
            wanted = [
                ClinicCredentials(name, "invented", f"{origin}/token/{kind}/{name}") for name in command["clinics"]
            ]
            read, rounds = await read_all(session, wanted, errors, foreign)
            gc.collect()
            report = {
                "read": read,
                "rounds": rounds,
                "errors": errors,
                "foreign": foreign,
                "store": failed,
                "rss": resident_bytes(),
                "traced": tracemalloc.get_traced_memory()[0] if traced else None,
                "files": open_files(),
                "threads": threading.active_count(),
                "tasks": len(asyncio.all_tasks()),
            }
            print(json.dumps(report), flush=True)
    await store.aclose()
    with contextlib.suppress(ArzamedError):
        await session.aclose()
    print(json.dumps({"files": open_files(), "tasks": len(asyncio.all_tasks())}), flush=True)


# The coordinator.


class Worker:
    """A process with a session."""

    def __init__(self, process: asyncio.subprocess.Process, kind: str) -> None:
        self.process = process
        self.kind = kind

    async def hear(self) -> dict[str, Any]:
        """Return its next report."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, f"the process with the {self.kind} store has ended"
        report: dict[str, Any] = json.loads(line)
        return report

    async def read(self, hour: int, clinics: list[str]) -> dict[str, Any]:
        """Let it read these clinics."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"hour": hour, "clinics": clinics}).encode() + b"\n")
        return await self.hear()


class Redis:
    """A Redis that is stopped and started again, without its data."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = int(one.getsockname()[1])
        self.folder = folder
        self.url = (
            f"redis://127.0.0.1:{self.port}/0?socket_connect_timeout={STORE_SECONDS:g}&socket_timeout={STORE_SECONDS:g}"
        )
        once = Retry(NoBackoff(), 0)  # start() asks again, and a ping holds the event loop
        self.client = redis.Redis(port=self.port, retry=once, socket_connect_timeout=5, socket_timeout=5)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it."""
        program = shutil.which("redis-server")
        assert program, "redis-server is not here"
        quiet = ["--save", "", "--appendonly", "no", "--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        async with asyncio.timeout(60):
            while True:
                if self.process is None or self.process.returncode is not None:  # its port may be in use for a moment
                    self.process = await asyncio.create_subprocess_exec(
                        program, "--bind", "127.0.0.1", "--port", str(self.port), *quiet
                    )
                with contextlib.suppress(redis.RedisError):
                    if self.client.ping():
                        return
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            await self.process.wait()
            self.process = None


class Day:
    """The hours."""

    def __init__(self, clinics: int, hours: int, each: int, folder: Path, rests: float) -> None:
        self.names = [f"c{n}" for n in range(clinics)]
        self.hours = hours
        self.each = each  # processes with one store
        self.rests = rests  # seconds for which a store that has failed is left alone
        self.folder = folder
        self.files = folder / "tokens"
        self.redis = Redis(folder)
        self.platform = Platform()
        self.workers: list[Worker] = []
        self.log: list[dict[str, Any]] = []

    async def start_workers(self, origin: str) -> None:
        """Start the processes; the first of each kind traces its memory."""
        for kind, place in (("file", str(self.files)), ("redis", self.redis.url)):
            for number in range(self.each):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, __file__, "--worker", place, origin, str(int(number == 0)), str(self.rests),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 22,
                )  # fmt: skip
                self.workers.append(Worker(process, kind))

    async def hour(self, hour: int, out: str) -> None:
        """Let an hour pass, with the store that is `out` of order."""
        platform, began = self.platform, time.monotonic()
        platform.begin_hour()
        if hour and self.redis.process:
            self.redis.client.eval(AGE, 0, int(HOUR * 1000))
        if out == "file":
            self.files.rename(self.files.with_suffix(".away"))
            self.files.write_text("no folder")
        elif out == "redis":
            await self.redis.stop()
        elif out == "redis restarts":
            await self.redis.stop()
            await self.redis.start()
        reports = await asyncio.gather(*[each.read(hour, self.names) for each in self.workers])
        failed = [each["store"] for each in reports]
        assert out or not any(failed), f"stores failed that are in order: {failed}"
        issued = self.check_tokens(out, Counter({f"{each.kind}/{n}": 1 for each in self.workers for n in self.names}))
        revoked = platform.revoke(REVOKED_SHARE, len(self.names))
        platform.issued.clear()
        again = await asyncio.gather(*[each.read(hour, revoked) for each in self.workers])
        issued += self.check_tokens(out, Counter({f"{each.kind}/{n}": 1 for each in self.workers for n in revoked}))
        for report, second in zip(reports, again, strict=True):
            assert report["read"] == len(self.names), f"clinics were lost: {report}"
            assert second["read"] == len(revoked), f"clinics were lost: {second}"
            assert not report["foreign"] + second["foreign"], "records of another clinic"
        if out == "file":
            self.files.unlink()
            self.files.with_suffix(".away").rename(self.files)
        elif out == "redis":
            await self.redis.start()
        if out:
            await asyncio.sleep(RESTS * self.rests)
        errors = sum((Counter(each["errors"]) for each in (*reports, *again)), Counter[str]())
        row: dict[str, Any] = {
            "hour": hour + 1, "out": out, "tokens": issued, "revoked": len(revoked), "errors": errors,
            "store_failures": [each["store"] for each in reports], "seconds": round(time.monotonic() - began, 1),
            "rss": [each["rss"] for each in again], "traced": [each["traced"] for each in again],
            "files": [each["files"] for each in again], "threads": [each["threads"] for each in again],
            "tasks": [each["tasks"] for each in again],
        }  # fmt: skip
        self.log.append(row)
        mib = " ".join(f"{each / 2**20:.0f}" for each in row["rss"])
        print(f"{hour + 1:4}  {row['seconds']:6} s  {issued:6} tokens  {mib} MiB  {out}", flush=True)

    def check_tokens(self, out: str, expected: Counter[str]) -> int:
        """Hold the tokens of this hour so far against those expected for each store and clinic; return their number."""
        issued = self.platform.issued
        wrong = {
            key: (issued[key], number)
            for key, number in expected.items()
            if not (
                number <= issued[key] <= self.each if out.startswith(key.partition("/")[0]) else issued[key] == number
            )
        }
        assert not wrong, f"tokens of clinics, and those expected: {dict(list(wrong.items())[:9])}, {len(wrong)} in all"
        return issued.total()

    async def end(self) -> dict[str, Any]:
        """End the processes; nothing may be left."""
        for each in self.workers:
            assert each.process.stdin is not None
            each.process.stdin.close()
            left = await each.hear()
            assert left["tasks"] == 1, left
            assert await each.process.wait() == 0
        self.redis.client.eval(AGE, 0, int(HOUR * 1000))
        kept = len(self.redis.client.keys("*:kept")) + len(self.redis.client.keys("*:lease"))
        alive = [
            each.name for each in self.files.iterdir() if each.suffix not in {".json", ".lock"} and each.name != "swept"
        ]
        left_over = (kept, alive, self.platform.connections)
        assert left_over == (0, [], 0), left_over
        return {"redis keys": kept, "token files": len(list(self.files.glob("*.json"))), "other files": len(alive)}


def memory(log: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the memory at some hours."""
    hours = sorted({min(2, len(log)), (len(log) + 1) // 2, len(log)})
    return {str(hour): {name: log[hour - 1][name] for name in ("rss", "traced", "files", "threads")} for hour in hours}


def check_flat(rows: dict[str, Any]) -> None:
    """Hold the memory of the last hour to that of the first one. CPython's table of interned strings may double once: 2 MB."""
    first, *_, last = rows.values()
    for name, most in (("traced", 3_000_000), ("rss", 12_000_000)):
        for before, after in zip(first[name], last[name], strict=True):
            assert before is None or after - before < most, f"memory grows: {rows}"


async def run(clinics: int, hours: int, each: int, *, rests: float) -> tuple[dict[str, Any], BaseException | None]:
    """Let the day pass; return the report, and why it ended early, if it did."""
    failure: BaseException | None = None
    left: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        day = Day(clinics, hours, each, Path(folder), rests)
        server = await asyncio.start_server(day.platform.serve, "127.0.0.1", 0, backlog=1024)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        began = time.monotonic()
        try:
            await day.redis.start()
            await day.start_workers(origin)
            out = {hours // 4: "file", hours // 2: "redis", 3 * hours // 4: "redis restarts"}
            for hour in range(hours):
                await day.hour(hour, out.get(hour, ""))
            left = await day.end()
            check_flat(memory(day.log))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - what was measured until then is written
            failure = error
        finally:
            for each_worker in day.workers:
                if each_worker.process.returncode is None:
                    each_worker.process.kill()
                    await each_worker.process.wait()
            await day.redis.stop()
            day.redis.client.close()
            server.close()
    report = {
        "facts": facts("aiohttp", "filelock", "redis"), "clinics": clinics, "hours": hours, "processes": len(day.workers),
        "seconds": round(time.monotonic() - began), "failed": None if failure is None else str(failure)[:2000],
        "requests": day.platform.figures, "left": left, "memory": memory(day.log) if day.log else {}, "log": day.log,
    }  # fmt: skip
    return report, failure


def main() -> None:
    """Run it."""
    if sys.argv[1:2] == ["--worker"]:
        asyncio.run(worker(sys.argv[2], sys.argv[3], sys.argv[4] == "1", float(sys.argv[5])))
        return
    parser = new_parser(__doc__, quick="60 clinics, 6 hours")
    parser.add_argument("--clinics", type=int, default=2000)
    parser.add_argument("--hours", type=int, default=24)
    options = parser.parse_args()
    if options.quick:
        options.clinics, options.hours = 60, 6
    report, failure = asyncio.run(run(options.clinics, options.hours, each=2, rests=0.2 if options.quick else 5.0))
    print(json.dumps({name: report[name] for name in ("requests", "left", "memory", "seconds")}, indent=1))
    write_report(report | {"quick": options.quick}, options.out, "day")
    if failure is not None:
        raise failure


if __name__ == "__main__":
    main()
