"""Cancellation storms: calls cancelled at random and at every point; nothing is left, and all goes on working."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support import DOCTORS, RawServer, Request, answer, json_answer, token_answer

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    ClinicCredentials,
    PoolLimits,
    RetryPolicy,
    SessionClosedError,
    Timeouts,
)

pytestmark = pytest.mark.asyncio

MANY = [{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(900)]
BODY = str(MANY).replace("'", '"').replace("None", "null").encode()
CLINICS = 6
LIMITS = PoolLimits(connections=8, connections_per_clinic=3)
QUICK = RetryPolicy(base_seconds=0.0005, cap_seconds=0.002)


class Stormy(RawServer):
    """Answers after a little while, in pieces, and now and then with 401, 503 or a broken connection."""

    def __init__(self, seed: int) -> None:
        super().__init__(self.stormy)
        self.chance = random.Random(seed)
        self.calm = False
        self.high_water = 0
        self.in_flight = self.most_in_flight = 0
        self.gate: asyncio.Event | None = None

    async def stormy(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.high_water = max(self.high_water, self.open_connections)
        luck = 1.0 if self.calm else self.chance.random()
        for _ in range(self.chance.randint(0, 6)):
            await asyncio.sleep(0)
        if luck > 0.9 and not self.calm:
            await asyncio.sleep(0.003)
        if request.is_token:
            clinic = request.target.rsplit("/", 1)[1]
            lives = 3600 if self.calm else self.chance.choice([1, 3600, 3600])
            writer.write(
                answer(503) if luck < 0.1 else token_answer(f"{clinic}.{self.token_requests}", expires_in=lives)
            )
        elif luck < 0.05:
            writer.write(json_answer(401, {"error": "Expired token"}))
        elif luck < 0.1:
            writer.write(answer(503))
        elif luck < 0.15:
            writer.close()
        elif self.gate is not None:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            await self.gate.wait()
            self.in_flight -= 1
            writer.write(json_answer(200, DOCTORS))
        else:
            await self.in_pieces(writer, broken=luck < 0.2)

    async def in_pieces(self, writer: asyncio.StreamWriter, *, broken: bool) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        for start in range(0, len(BODY) // 2 if broken else len(BODY), 20_000):
            writer.write(BODY[start : start + 20_000])
            await writer.drain()
            await asyncio.sleep(0)
        if broken:
            writer.close()


# The calls: each takes a session and the clinics.

Call = Callable[[ArzamedSession, list[ClinicCredentials]], Awaitable[object]]


async def token(session: ArzamedSession, clinics: list[ClinicCredentials]) -> object:
    return await session.clinic(clinics[0]).token()


async def get(session: ArzamedSession, clinics: list[ClinicCredentials]) -> object:
    return await session.clinic(clinics[0]).get("equipe/doctors")


async def whole_list(session: ArzamedSession, clinics: list[ClinicCredentials]) -> object:
    return await session.clinic(clinics[0]).doctors.list()


async def whole_stream(session: ArzamedSession, clinics: list[ClinicCredentials]) -> object:
    async with session.clinic(clinics[0]).doctors.stream() as doctors:
        return [doctor async for doctor in doctors]


async def part_of_a_stream(session: ArzamedSession, clinics: list[ClinicCredentials]) -> object:
    async with session.clinic(clinics[0]).doctors.stream() as doctors:
        return await anext(doctors)


async def in_batches(session: ArzamedSession, clinics: list[ClinicCredentials]) -> object:
    async with session.clinic(clinics[0]).doctors.batches(size=100) as batches:
        return [batch async for batch in batches]


async def fanned_out(session: ArzamedSession, clinics: list[ClinicCredentials]) -> object:
    async with session.fan_out(clinics, lambda clinic: clinic.doctors.list(), concurrency=2) as outcomes:
        return [outcome async for outcome in outcomes]


async def merged(session: ArzamedSession, clinics: list[ClinicCredentials]) -> object:
    async with session.merge(clinics[:3], lambda clinic: clinic.doctors.stream(), buffer=50) as records:
        return [record async for record in records]


CALLS: list[Call] = [token, get, whole_list, whole_stream, part_of_a_stream, in_batches, fanned_out, merged]


# What has to hold behind a storm.


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition: Callable[[], bool]) -> None:
    """Let everything go on until the condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


class Quiet:
    """Around a storm: no task, no descriptor and no unheard exception is left behind it."""

    async def __aenter__(self) -> None:
        self.unheard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.unheard.append(context))
        gc.collect()
        self.tasks, self.descriptors = asyncio.all_tasks(), descriptors()

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            await until(lambda: asyncio.all_tasks() == self.tasks)
            gc.collect()
            await until(lambda: descriptors() == self.descriptors)
        asyncio.get_running_loop().set_exception_handler(None)
        assert self.unheard == []


async def assert_usable(session: ArzamedSession, server: Stormy, clinics: list[ClinicCredentials]) -> None:
    """No slot is held or waited for; as many calls as the limits allow reach the server at once; tokens come."""
    server.calm = True
    await until(lambda: all(each.in_flight == each.queued == 0 for each in session.stats().clinics.values()))
    await until(lambda: session.stats().pool.in_use == session.stats().pool.queued == 0)
    await asyncio.gather(*(session.clinic(each).token() for each in clinics))
    server.gate, server.most_in_flight = asyncio.Event(), 0
    calls = [asyncio.create_task(session.clinic(each).get("equipe/doctors")) for each in clinics * 4]
    await until(lambda: server.in_flight == LIMITS.connections)
    stats = session.stats()
    assert stats.pool.in_use == LIMITS.connections
    assert max(each.in_flight for each in stats.clinics.values()) <= LIMITS.connections_per_clinic
    server.gate.set()
    assert [len(got.json()) for got in await asyncio.gather(*calls)] == [len(DOCTORS)] * len(calls)
    server.gate = None
    assert server.most_in_flight <= LIMITS.connections


def outcome_of(task: asyncio.Task[object]) -> str:
    """Return how a call ended; a foreign exception is raised."""
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    if error is None:
        return "done"
    assert isinstance(error, ArzamedError), repr(error)
    assert error.__context__ is None
    return type(error).__name__


async def storm(
    session: ArzamedSession, clinics: list[ClinicCredentials], count: int, chance: random.Random
) -> tuple[Counter[str], list[float]]:
    """Make so many calls, cancel each after a random number of turns of the loop; return ends and latencies (s)."""
    ends: Counter[str] = Counter()
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    running: dict[asyncio.Task[object], int] = {}
    turn = started = 0
    while running or started < count:
        while started < count and len(running) < 60:
            chosen = chance.sample(clinics, len(clinics))
            task: asyncio.Task[object] = loop.create_task(chance.choice(CALLS)(session, chosen))
            running[task] = turn + int(chance.expovariate(1 / 30))
            started += 1
        await asyncio.sleep(0)
        turn += 1
        for task in [task for task, due in running.items() if due <= turn or task.done()]:
            del running[task]
            if not task.done():
                cancelled_at = time.perf_counter()
                task.add_done_callback(lambda _, at=cancelled_at: latencies.append(time.perf_counter() - at))
            if task.cancel() and chance.random() < 0.2:
                task.cancel()
            await asyncio.wait([task])
            ends[outcome_of(task)] += 1
    return ends, latencies


@pytest.mark.parametrize(
    ("seed", "calls", "coalesce"),
    [(1, 10_000, False), (2, 2000, True), (3, 1000, False), (4, 1000, True)],
)
async def test_a_storm_of_cancellations(seed: int, calls: int, coalesce: bool) -> None:
    """10,000 calls cancelled at random under contention: no slot, task, socket or descriptor is lost, and all works on."""
    chance = random.Random(seed)
    async with Quiet(), Stormy(seed) as server:
        clinics = [server.credentials(f"c{n}") for n in range(CLINICS)]
        async with ArzamedSession(base_url=server.base_url, pool=LIMITS, retry=QUICK, coalesce=coalesce) as session:
            ends, latencies = await storm(session, clinics, calls, chance)
            assert ends.total() == calls
            assert ends["cancelled"] > calls / 10
            assert ends["done"] > calls / 50
            p99 = statistics.quantiles(latencies, n=100)[98]
            print(f"seed {seed}: {dict(ends)}; CancelledError within {p99 * 1e3:.2f} ms at p99")  # noqa: T201
            await assert_usable(session, server, clinics)
        assert server.high_water <= LIMITS.connections
        await until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_timeouts(seed: int) -> None:
    """Under asyncio.timeout, nested too, the TimeoutError is the caller's own, and no cancellation is lost or doubled."""
    chance = random.Random(seed)

    async def hasty(session: ArzamedSession, clinics: list[ClinicCredentials], outer: float, inner: float) -> str:
        task = asyncio.current_task()
        assert task is not None
        ended = "done"
        try:
            async with asyncio.timeout(outer) as outer_timeout:
                try:
                    async with asyncio.timeout(inner) as inner_timeout:
                        await chance.choice(CALLS)(session, clinics)
                except TimeoutError as error:
                    assert inner_timeout.expired()
                    assert type(error) is TimeoutError
                    ended = "inner"
                    await asyncio.sleep(0)
        except TimeoutError as error:
            assert outer_timeout.expired()
            assert type(error) is TimeoutError
            ended = "outer"
        except ArzamedError:
            ended = "failed"
        assert task.cancelling() == 0
        return ended

    async with Quiet(), Stormy(seed) as server:
        clinics = [server.credentials(f"c{n}") for n in range(CLINICS)]
        async with ArzamedSession(base_url=server.base_url, pool=LIMITS, retry=QUICK) as session:
            ends: Counter[str] = Counter()
            for _ in range(10):
                ends.update(
                    await asyncio.gather(
                        *(
                            hasty(session, chance.sample(clinics, CLINICS), chance.random() / 20, chance.random() / 20)
                            for _ in range(60)
                        )
                    )
                )
            assert ends["inner"] + ends["outer"] > 0
            await assert_usable(session, server, clinics)
        await until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("seed", range(20))
async def test_a_session_closed_in_the_midst(seed: int) -> None:
    """Calls in flight when the session closes end with SessionClosedError, their result or their own failure; all of them."""
    chance = random.Random(seed)
    async with Quiet(), Stormy(seed) as server:
        clinics = [server.credentials(f"c{n}") for n in range(CLINICS)]
        session = ArzamedSession(base_url=server.base_url, pool=LIMITS, retry=QUICK, coalesce=bool(seed % 2))
        tasks = [
            asyncio.create_task(chance.choice(CALLS)(session, chance.sample(clinics, CLINICS)))  # type: ignore[arg-type]
            for _ in range(80)
        ]
        for _ in range(chance.randint(0, 100)):
            await asyncio.sleep(0)
        for task in chance.sample(tasks, 8):  # in the same turn
            task.cancel()
        await session.aclose()
        await asyncio.wait(tasks)
        ends = Counter(map(outcome_of, tasks))
        assert ends[SessionClosedError.__name__] > 0
        await until(lambda: server.open_connections == 0)
        with pytest.raises(SessionClosedError):
            await token_again(session, clinics)


async def token_again(session: ArzamedSession, clinics: list[ClinicCredentials]) -> None:
    await session.clinic(clinics[0]).token()


@pytest.mark.parametrize("seed", range(10))
async def test_a_sibling_that_fails(seed: int) -> None:
    """A TaskGroup whose one task fails ends with that failure alone, whatever the calls beside it are doing."""
    chance = random.Random(seed)

    async def fail(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise LookupError("a bug")

    async with Quiet(), Stormy(seed) as server:
        server.calm = True
        clinics = [server.credentials(f"c{n}") for n in range(CLINICS)]
        async with ArzamedSession(base_url=server.base_url, pool=LIMITS, retry=QUICK) as session:
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    for _ in range(40):
                        call = chance.choice(CALLS)
                        group.create_task(call(session, chance.sample(clinics, CLINICS)))  # type: ignore[arg-type]
                    group.create_task(fail(chance.randint(0, 200)))
            assert [type(error) for error in caught.value.exceptions] == [LookupError]
            await assert_usable(session, server, clinics)
        await until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("how", ["once", "twice", "with a deadline", "with a close"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_cancelled_at_every_point(call: Call, how: str) -> None:
    """A call cancelled in its first turn of the loop, its second, and so on to its last: each time nothing is left."""
    async with Quiet(), Stormy(5) as server:
        server.calm = True
        clinics = [server.credentials(f"c{n}") for n in range(CLINICS)]
        point, ended = 0, "cancelled"
        while ended != "done":
            server.chance = random.Random(5)  # the same turns each time
            short = Timeouts(total_seconds=0.0001 if how == "with a deadline" and point % 2 else 30)
            async with ArzamedSession(base_url=server.base_url, pool=LIMITS, retry=QUICK, timeouts=short) as session:
                task: asyncio.Task[object] = asyncio.create_task(call(session, clinics))  # type: ignore[arg-type]
                for _ in range(point):
                    await asyncio.sleep(0)
                if how == "with a close":
                    closing = asyncio.create_task(session.aclose())
                if how == "twice":
                    task.cancel()
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                ended = outcome_of(task)
                assert ended in {
                    "cancelled",
                    "done",
                    "SessionClosedError",
                    "DeadlineExceededError",
                    "TokenUnavailableError",
                }
                if how == "with a close":
                    await closing
                    ended = "done" if point > 150 else ended
                else:
                    pool = session.stats().pool
                    await until(lambda session=session: session.stats().pool.in_use == 0)  # type: ignore[misc]
                    assert all(each.in_flight == each.queued == 0 for each in session.stats().clinics.values()), pool
            point += 1 if point < 60 else 7
            if how == "with a deadline" and point > 150:
                break
        assert point > 3
        await until(lambda: server.open_connections == 0)
