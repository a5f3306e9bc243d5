"""Many servers that send a lot and stall: the memory of all connections together is bounded, and healthy clinics are served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from support import SECRET, RawServer, Request, answer, json_answer, token_answer, until

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    DeadlineExceededError,
    Doctor,
    Endpoint,
    Limits,
    PoolLimits,
    RetryPolicy,
    Timeouts,
)
from arzamed_async._concurrency.byte_budget import ByteBudget

pytestmark = pytest.mark.asyncio

MEBIBYTE = 1_048_576
STALLED, HEALTHY = 200, 10
BUDGET_BYTES = 8 * MEBIBYTE
UNFINISHED = b'[{"name": "' + b"x" * 900_000
DOCTORS = [{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(100)]
#: Bytes of a large, valid response: more than what is free for each connection.
LARGE = b"[" + b" " * 300_000 + b"]"

Read = Callable[[Clinic], Awaitable[object]]


def budget_of(session: ArzamedSession) -> ByteBudget:
    return session._engine.transport.budget


async def by_list(clinic: Clinic) -> object:
    return await clinic.doctors.list()


async def by_stream(clinic: Clinic) -> object:
    async with clinic.doctors.stream() as doctors:
        return [doctor async for doctor in doctors]


async def by_get(clinic: Clinic) -> object:
    return (await clinic.get("equipe/doctors")).body


async def send(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Send a body that keeps nothing in this process's memory which the client has not read."""
    writer.transport.set_write_buffer_limits(16_384)
    for start in range(0, len(body), 16_384):
        writer.write(body[start : start + 16_384])
        await writer.drain()


class Flood(RawServer):
    """Sends the healthy clinics' lists, and 900 kB of one record to the others; it stalls there."""

    def __init__(self) -> None:
        super().__init__(self.flood)

    async def flood(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer(request.target.rsplit("/", 1)[1]))
        elif "good" in request.headers["authorization"]:
            writer.write(json_answer(200, DOCTORS))
        else:
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n")
            await send(writer, UNFINISHED)
            await asyncio.sleep(600)

    def clinics(self, session: ArzamedSession, kind: str, count: int) -> list[Clinic]:
        url = f"http://127.0.0.1:{self.port}/token"
        return [session.clinic(ClinicCredentials(f"{kind}{n}", SECRET, f"{url}/{kind}{n}")) for n in range(count)]


@pytest.mark.parametrize("read", [by_list, by_stream, by_get])
@pytest.mark.parametrize("lane", ["direct", "aiohttp"])
async def test_a_flood_of_stalled_responses_is_bounded(lane: str, read: Read) -> None:
    """200 servers that send 900 kB and stall hold what the budget allows; ten healthy clinics are served meanwhile.

    The stalled ones have not failed by then; they are cancelled, and then nothing of the budget is taken.
    """
    timeouts = Timeouts(total_seconds=60, read_seconds=60)
    pool = PoolLimits(connections=STALLED + HEALTHY) if lane == "direct" else PoolLimits()
    async with (
        Flood() as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ArzamedSession(
            base_url=server.base_url,
            retry=RetryPolicy.none(),
            timeouts=timeouts,
            limits=Limits(buffered_bytes=BUDGET_BYTES),
            pool=pool,
            http=http if lane == "aiohttp" else None,
        ) as session,
    ):
        stalled = [asyncio.ensure_future(read(clinic)) for clinic in server.clinics(session, "bad", STALLED)]
        budget = budget_of(session)
        await until(lambda: len(budget.waiting) > STALLED - 20)
        assert session.stats().pool.lane.startswith(lane)
        healthy = server.clinics(session, "good", HEALTHY)
        async with asyncio.timeout(60):
            lists = await asyncio.gather(*(clinic.doctors.list() for clinic in healthy))
        assert [len(each) for each in lists] == [len(DOCTORS)] * HEALTHY
        assert not any(task.done() for task in stalled)
        # One read of each connection beyond the budget: 16 KiB in the direct lane, up to 256 KiB in aiohttp's.
        one_read = 16_384 if lane == "direct" else 262_144
        assert budget.used < BUDGET_BYTES // 2 + STALLED * one_read
        assert budget.lent <= max(BUDGET_BYTES // 2, Limits().body_bytes if read is by_get else 0)
        for task in stalled:
            task.cancel()
        await asyncio.wait(stalled)
        assert (budget.used, budget.lent, len(budget.waiting)) == (0, 0, 0)


class Held(RawServer):
    """Sends a large response: to the first request half of it, and the rest when it is let go on; then at once."""

    def __init__(self) -> None:
        super().__init__(self.hold)
        self.go_on = asyncio.Event()
        self.reads = 0

    async def hold(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
            return
        if request.target.endswith("rooms"):
            writer.write(json_answer(200, DOCTORS))
            return
        self.reads += 1
        wait = self.reads == 1
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(LARGE))
        await send(writer, LARGE[:200_000])
        if wait:
            await self.go_on.wait()
        await send(writer, LARGE[200_000:])


def tight(server: RawServer, timeouts: Timeouts) -> ArzamedSession:
    """Return a session in which one connection at a time may hold more than a little."""
    return ArzamedSession(
        base_url=server.base_url, retry=RetryPolicy.none(), timeouts=timeouts, limits=Limits(buffered_bytes=1)
    )


async def test_the_wait_for_room_is_no_fault_of_the_server() -> None:
    """A response that waits for room for longer than read_seconds does not fail: it is read when there is room."""
    async with Held() as server, tight(server, Timeouts(total_seconds=30, read_seconds=30)) as session:
        clinic = session.clinic(server.credentials())
        first = asyncio.ensure_future(by_get(clinic))
        budget = budget_of(session)
        await until(lambda: budget.lent)
        second = asyncio.ensure_future(by_get(clinic.with_options(timeouts=Timeouts(read_seconds=0.05))))
        await until(lambda: budget.waiting)
        await asyncio.sleep(0.2)
        assert not second.done()
        server.go_on.set()
        assert await first == await second == LARGE
        assert (budget.used, budget.lent, len(budget.waiting)) == (0, 0, 0)


async def test_a_deadline_that_passes_meanwhile_says_so() -> None:
    """A call whose deadline passes while it waits for room reports that, and what it held is free again."""
    async with Held() as server, tight(server, Timeouts(total_seconds=30, read_seconds=30)) as session:
        clinic = session.clinic(server.credentials())
        first = asyncio.ensure_future(by_get(clinic))
        budget = budget_of(session)
        await until(lambda: budget.lent)
        with pytest.raises(DeadlineExceededError, match=r"while waiting for room in the session's buffers \(Limits"):
            await by_get(clinic.with_options(timeouts=Timeouts(total_seconds=0.3)))
        assert not budget.waiting
        server.go_on.set()
        assert await first == LARGE


async def test_a_stream_gives_its_turn_back_with_each_window() -> None:
    """Who has got records of a stream may wait for another large response of the same session: no deadlock."""
    large = b'{"name": "%b", "profileImage": null}' % (b"x" * 200_000)
    body = b"[" + b",".join([large] * 6) + b"]"

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
        elif request.target.endswith("rooms"):
            writer.write(answer(200, b""))
        else:
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body))
            await send(writer, body)

    async with RawServer(handler) as server, tight(server, Timeouts()) as session:
        clinic = session.clinic(server.credentials())
        read = 0
        async with clinic.doctors.stream() as outer, asyncio.timeout(60):
            async for _ in outer:
                read += 1
                assert len(await clinic.doctors.list()) == 6
        assert read == 6
        budget = budget_of(session)
        assert (budget.used, budget.lent, len(budget.waiting)) == (0, 0, 0)


async def test_the_options_of_a_call_share_the_session_s_budget() -> None:
    """`with_options(limits=...)` neither adds a budget nor widens the session's: the call waits as every other does."""
    async with Held() as server, tight(server, Timeouts(total_seconds=30, read_seconds=30)) as session:
        clinic = session.clinic(server.credentials())
        first = asyncio.ensure_future(by_get(clinic))
        budget = budget_of(session)
        await until(lambda: budget.lent)
        second = asyncio.ensure_future(by_get(clinic.with_options(limits=Limits(buffered_bytes=64 * MEBIBYTE))))
        await until(lambda: budget.waiting)
        assert budget_of(session) is budget
        assert not second.done()
        server.go_on.set()
        assert await first == await second == LARGE


async def test_a_cancelled_waiter_loses_nobody_s_turn() -> None:
    """Calls that are cancelled while they wait for room, before and after others in the row, leave those to be served."""
    async with Held() as server, tight(server, Timeouts(total_seconds=30, read_seconds=30)) as session:
        clinic = session.clinic(server.credentials())
        first = asyncio.ensure_future(by_get(clinic))
        budget = budget_of(session)
        await until(lambda: budget.lent)
        others = [asyncio.ensure_future(by_get(clinic)) for _ in range(6)]
        await until(lambda: len(budget.waiting) == len(others))
        for task in others[::2]:
            task.cancel()
        await asyncio.wait(others[::2])
        assert len(budget.waiting) == len(others[1::2])
        server.go_on.set()
        async with asyncio.timeout(60):
            assert await asyncio.gather(first, *others[1::2]) == [LARGE] * 4
        assert (budget.used, budget.lent, len(budget.waiting)) == (0, 0, 0)


async def test_a_large_response_waits_for_the_end_of_a_stalled_one_and_small_ones_do_not() -> None:
    """While a stalled response keeps the room, small lists are read at once; a large one is read when the stalled call ends."""
    async with Held() as server, tight(server, Timeouts(total_seconds=30, read_seconds=30)) as session:
        clinic = session.clinic(server.credentials())
        stalled = asyncio.ensure_future(by_get(clinic))
        budget = budget_of(session)
        await until(lambda: budget.lent)
        large = asyncio.ensure_future(by_get(clinic))
        await until(lambda: budget.waiting)
        for _ in range(20):
            assert len(await clinic.resource(Endpoint("equipe/rooms", Doctor)).list()) == len(DOCTORS)
        assert not large.done()
        stalled.cancel()
        assert await large == LARGE
        assert (budget.used, budget.lent, len(budget.waiting)) == (0, 0, 0)
