"""Cancellation storms: calls cancelled at random and at every point; nothing is left, and all goes on working."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import socket
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support import DOCTORS, RawServer, Request, answer, json_answer, token_answer, until

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    BreakerPolicy,
    CircuitOpenError,
    Clinic,
    ClinicCredentials,
    Event,
    Limits,
    PoolLimits,
    RetryPolicy,
    SessionClosedError,
)

pytestmark = pytest.mark.asyncio

MANY = [{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(900)]
BODY = str(MANY).replace("'", '"').replace("None", "null").encode()
CLINICS = 6
LIMITS = PoolLimits(connections=8, connections_per_clinic=3)
QUICK = RetryPolicy(initial_backoff_seconds=0.0005, max_backoff_seconds=0.002)


class Stormy(RawServer):
    """Answers after a little while, in pieces, and now and then with 401, 503 or a broken connection."""

    def __init__(self, seed: int) -> None:
        super().__init__(self.stormy)
        self.chance = random.Random(seed)
        self.calm = False
        self.in_flight = self.most_in_flight = 0
        self.gate: asyncio.Event | None = None
        self.reasons_for_a_token = 0
        self.asking: Counter[str] = Counter()  # token requests on their way, by clinic
        self.most_asking = 0

    async def stormy(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target.endswith("/gate"):  # none of the storm's own requests: those may still be here, given up
            await self.wait_at_the_gate(writer)
            return
        if request.is_token:
            clinic = request.target.rsplit("/", 1)[1]
            self.asking[clinic] += 1
            self.most_asking = max(self.most_asking, self.asking[clinic])
        luck = 1.0 if self.calm else self.chance.random()
        for _ in range(self.chance.randint(0, 6)):
            await asyncio.sleep(0)
        if luck > 0.9 and not self.calm:
            await asyncio.sleep(0.003)
        if request.is_token:
            self.asking[clinic] -= 1
            self.answer_with_a_token(clinic, luck, writer)
        elif luck < 0.05:
            self.reasons_for_a_token += 1
            writer.write(json_answer(401, {"error": "Expired token"}))
        elif luck < 0.1:
            writer.write(answer(503))
        elif luck < 0.15:
            writer.close()
        else:
            await self.in_pieces(writer, broken=luck < 0.2)

    def answer_with_a_token(self, clinic: str, luck: float, writer: asyncio.StreamWriter) -> None:
        lives = 3600 if self.calm else self.chance.choice([1, 3600, 3600])
        self.reasons_for_a_token += luck < 0.1 or lives == 1
        if luck < 0.05:
            writer.close()
        elif luck < 0.1:
            writer.write(answer(503))
        else:
            writer.write(token_answer(f"{clinic}.{self.token_requests}", expires_in=lives))

    async def wait_at_the_gate(self, writer: asyncio.StreamWriter) -> None:
        assert self.gate is not None
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await self.gate.wait()
        self.in_flight -= 1
        writer.write(json_answer(200, DOCTORS))

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


class Quiet:
    """Around a storm: no task, no descriptor and no unheard exception is left behind it."""

    async def __aenter__(self) -> Quiet:
        self.unheard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.unheard.append(context))
        gc.collect()
        self.tasks, self.descriptors = asyncio.all_tasks(), descriptors()
        return self

    def left_running(self, server: RawServer) -> set[asyncio.Task[Any]]:
        """Return the tasks that are neither the test's nor the server's."""
        return asyncio.all_tasks() - self.tasks - server._tasks

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            await until(lambda: asyncio.all_tasks() == self.tasks)
            gc.collect()
            await until(lambda: descriptors() == self.descriptors)
        asyncio.get_running_loop().set_exception_handler(None)
        assert self.unheard == []


def client_sockets(*servers: RawServer) -> int:
    """Return how many sockets this process has open to these servers."""
    ports = {server.port for server in servers}
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # gone, or not connected
            if str(entry.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                    count += copy.family == socket.AF_INET and copy.getpeername()[1] in ports
    return count


def assert_no_slot_is_held(session: ArzamedSession) -> None:
    """Behind the end of the calls, at once: what a call holds it gives back before it ends."""
    clinics = session.stats().clinics
    assert {name: (each.in_flight, each.queued) for name, each in clinics.items()} == dict.fromkeys(clinics, (0, 0))
    budget = session._engine.transport.budget
    assert (budget.used, budget.lent, len(budget.waiting)) == (0, 0, 0)


async def until_it_answers(clinic: Clinic) -> None:
    """Wait until the clinic's circuit lets a probe through, if it has one: a probe given up must not keep it open."""
    async with asyncio.timeout(60):
        while True:
            try:
                await clinic.get("equipe/doctors")
                return
            except CircuitOpenError:
                await asyncio.sleep(0.002)


async def assert_usable(session: ArzamedSession, server: Stormy, clinics: list[ClinicCredentials]) -> None:
    """No slot is held or waited for; as many calls as the limits allow reach the server at once; tokens come."""
    server.calm = True
    assert_no_slot_is_held(session)
    await until(lambda: session.stats().pool.in_use == session.stats().pool.queued == 0)
    await asyncio.gather(*(until_it_answers(session.clinic(each)) for each in clinics))
    server.gate, server.most_in_flight = asyncio.Event(), 0
    calls = [asyncio.create_task(session.clinic(each).get("gate")) for each in clinics * 4]
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


#: How a call may end by itself where the server is stormy.
OWN_FAILURES = {
    "CircuitOpenError", "ServiceUnavailableError", "StreamInterruptedError", "TokenUnavailableError", "TransportError",
    "UnauthorizedError",
}  # fmt: skip


class Storm:
    """Makes calls, and cancels each after a random number of turns of the loop, or at a random event of any call."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.running: dict[asyncio.Task[object], int] = {}  # and the turn in which each is to be cancelled
        self.cancelled: set[asyncio.Task[object]] = set()
        self.ends: Counter[str] = Counter()
        self.latencies: list[tuple[float, float]] = []  # on the wall and of this process, in seconds
        self.at_an_event = self.most_sockets = 0

    def on_event(self, event: Event) -> None:
        """Cancel one of the calls, now and then: an event comes in the midst of a step."""
        if self.running and self.chance.random() < 0.05:
            task = self.chance.choice(list(self.running))
            if task is not asyncio.current_task() and task not in self.cancelled:
                self.at_an_event += self.cancel(task)

    def cancel(self, task: asyncio.Task[object]) -> bool:
        if not task.cancel():
            return False
        started, started_cpu = time.perf_counter(), time.process_time()
        task.add_done_callback(
            lambda _: self.latencies.append((time.perf_counter() - started, time.process_time() - started_cpu))
        )
        self.cancelled.add(task)
        return True

    async def run(
        self, session: ArzamedSession, clinics: list[ClinicCredentials], count: int, *servers: RawServer
    ) -> None:
        turn = started = 0
        while self.running or started < count:
            while started < count and len(self.running) < 60:
                call = self.chance.choice(CALLS)(session, self.chance.sample(clinics, len(clinics)))
                task: asyncio.Task[object] = asyncio.ensure_future(call)  # type: ignore[assignment]
                self.running[task] = turn + int(self.chance.expovariate(1 / 20))
                started += 1
            await asyncio.sleep(0)
            turn += 1
            if turn % 50 == 0:
                self.most_sockets = max(self.most_sockets, client_sockets(*servers))
            for task in [task for task, due in self.running.items() if due <= turn or task.done()]:
                if task not in self.cancelled and self.cancel(task) and self.chance.random() < 0.2:
                    task.cancel()
                await asyncio.wait([task])
                del self.running[task]
                end = outcome_of(task)
                assert end == "cancelled" if task in self.cancelled else end in {"done", *OWN_FAILURES}, end
                self.ends[end] += 1


@pytest.mark.parametrize(
    ("seed", "calls", "coalesce", "breaker"),
    [
        (1, 10_000, False, None),
        (2, 1000, True, None),
        (3, 1000, False, BreakerPolicy(failure_threshold=2, open_seconds=0.01)),
        (4, 1000, True, BreakerPolicy(failure_threshold=2, open_seconds=0.01)),
    ],
)
async def test_a_storm_of_cancellations(seed: int, calls: int, coalesce: bool, breaker: BreakerPolicy | None) -> None:
    """10,000 calls cancelled at random under contention: no slot, task, socket or descriptor is lost, and all works on.

    Every call that was cancelled ends as cancelled, and no other one does. No clinic has two token requests at once,
    nor one without a reason. Tokens come from another host than records, over the same pool.
    """
    async with Quiet(), Stormy(seed) as server, RawServer(server.stormy) as tokens:
        clinics = [tokens.credentials(f"c{n}") for n in range(CLINICS)]
        storm = Storm(seed)
        async with ArzamedSession(
            base_url=server.base_url, pool=LIMITS, retry=QUICK, coalesce=coalesce, breaker=breaker,
            observers=[storm.on_event], limits=Limits(buffered_bytes=1 if coalesce else 67_108_864),
        ) as session:  # fmt: skip
            await storm.run(session, clinics, calls, server, tokens)
            ends = storm.ends
            assert ends.total() == calls
            assert ends["cancelled"] > calls / 10
            assert ends["done"] > calls / 50
            assert storm.at_an_event > calls / 200
            wall, cpu = (statistics.quantiles(each, n=100)[98] * 1e3 for each in zip(*storm.latencies, strict=True))
            print(f"\nseed {seed}: {dict(ends)}; CancelledError at p99: {wall:.2f} ms, {cpu:.2f} ms of CPU")  # noqa: T201
            assert 0 < storm.most_sockets <= LIMITS.connections
            await assert_usable(session, server, clinics)
        assert server.most_asking == 1
        assert tokens.token_requests <= CLINICS + server.reasons_for_a_token
        assert client_sockets(server, tokens) == 0
        await until(lambda: server.open_connections == tokens.open_connections == 0)


@pytest.mark.parametrize("seed", range(4))
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
                    assert not inner_timeout.expired()
                except TimeoutError as error:
                    assert inner_timeout.expired()
                    assert type(error) is TimeoutError
                    ended = "inner"
                    await asyncio.sleep(0)
        except TimeoutError as error:
            assert outer_timeout.expired()
            assert type(error) is TimeoutError
            ended = "outer"
        except ArzamedError as error:
            assert type(error).__name__ in OWN_FAILURES
            ended = "failed"
        assert outer_timeout.expired() == (ended == "outer")
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
            assert set(ends) >= {"done", "inner", "outer"}
            await assert_usable(session, server, clinics)
        await until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("calm", [True, False], ids=["calm", "stormy"])
@pytest.mark.parametrize("seed", range(20))
async def test_a_session_closed_in_the_midst(seed: int, calm: bool) -> None:
    """Calls in flight when the session closes end with SessionClosedError or their result, or as they would have; and
    where aclose itself is cancelled, the next one does the rest. Behind it no request is on its way.
    """
    chance = random.Random(seed)
    async with Quiet() as quiet, Stormy(seed) as server:
        server.calm = calm
        clinics = [server.credentials(f"c{n}") for n in range(CLINICS)]
        session = ArzamedSession(base_url=server.base_url, pool=LIMITS, retry=QUICK, coalesce=bool(seed % 2))
        tasks = [
            asyncio.create_task(chance.choice(CALLS)(session, chance.sample(clinics, CLINICS)))  # type: ignore[arg-type]
            for _ in range(80)
        ]
        for _ in range(chance.randint(0, 100)):
            await asyncio.sleep(0)
        cancelled = {task for task in chance.sample(tasks, 8) if task.cancel()}  # in the same turn
        if seed % 4 > 1:
            closing = asyncio.create_task(session.aclose())
            for _ in range(chance.randint(0, 4)):
                await asyncio.sleep(0)
            closing.cancel()
        await session.aclose()
        if seed % 4 > 1:
            await asyncio.sleep(0)  # the one that was cancelled has closed them, and a socket closes in the next turn
        assert client_sockets(server) == 0
        await asyncio.wait(tasks)
        assert quiet.left_running(server) == set()
        for task in tasks:
            own = {"done", SessionClosedError.__name__, *(() if calm else OWN_FAILURES)}
            assert outcome_of(task) in ({"cancelled"} if task in cancelled else own)
        assert SessionClosedError.__name__ in map(outcome_of, tasks)
        await until(lambda: server.open_connections == 0)
        with pytest.raises(SessionClosedError):
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
