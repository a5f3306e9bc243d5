"""Calls that wait for their turn, over real sockets: their order, their end, and a known limit on the wire."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from support import RawServer, Request, answer, json_answer, settle, token_answer

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    DeadlineExceededError,
    Event,
    PacingPolicy,
    PacingStats,
    PoolLimits,
    RequestFinished,
    SessionClosedError,
    Timeouts,
)
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio


async def read(clinic: Clinic) -> int:
    return len(await clinic.doctors.list())


def limited_to(rate: float) -> PacingPolicy:
    return PacingPolicy(max_requests_per_second=rate)


async def with_tokens(session: ArzamedSession, *credentials: ClinicCredentials) -> list[Clinic]:
    """Return handles of clinics whose tokens are there, so that calls wait for nothing but their turn."""
    clinics = [session.clinic(each) for each in credentials]
    for clinic in clinics:
        await clinic.token()
    return clinics


def paced(session: ArzamedSession) -> PacingStats:
    """Return how requests are paced now."""
    pacing = session.stats().pacing
    assert pacing is not None
    return pacing


def waiting(session: ArzamedSession) -> int:
    """Return the number of calls that wait for their turn."""
    return paced(session).waiting


async def test_calls_are_sent_in_the_order_in_which_they_came_and_clinics_take_turns() -> None:
    """Of two clinics, one with six calls that wait: its calls go in their order, and the other's only call goes second."""
    async with FakeArzamed() as fake:
        drawn = fake.add_clinic("Inventata busy"), fake.add_clinic("Inventata late")
        async with ArzamedSession(
            base_url=fake.base_url, pacing=limited_to(50), pool=PoolLimits(connections=1)
        ) as session:
            busy, late = await with_tokens(session, *drawn)
            calls = [asyncio.create_task(busy.get("equipe/doctors", {"call": n})) for n in range(7)]
            calls.append(asyncio.create_task(late.get("equipe/doctors", {"call": "late"})))
            await asyncio.gather(*calls)
    sent = [request.query.removeprefix("call=") for request in fake.requests if request.kind == "api"]
    assert [call for call in sent if call != "late"] == [str(n) for n in range(7)]
    assert sent.index("late") <= 2


async def test_a_storm_of_cancellations_takes_no_turn_from_the_others() -> None:
    """Of twenty calls that wait, every second one is cancelled: the others are served, and nothing waits or is sent for them."""
    async with FakeArzamed() as fake:
        one = fake.add_clinic("Inventata")
        async with ArzamedSession(base_url=fake.base_url, pacing=limited_to(10)) as session:
            [clinic] = await with_tokens(session, one)
            calls = [asyncio.create_task(read(clinic)) for _ in range(20)]
            await settle()
            assert waiting(session) == 19
            for call in calls[1::2]:
                call.cancel()
            await settle()
            assert waiting(session) == 9
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(outcome, int) for outcome in outcomes[::2])
            assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[1::2])
            stats = session.stats()
    assert (waiting(session), stats.clinics["Inventata"].in_flight, stats.clinics["Inventata"].queued) == (0, 0, 0)
    assert fake.api_requests() == 10


async def test_closing_the_session_ends_the_calls_that_wait() -> None:
    """At aclose() each call that waits for its turn ends with SessionClosedError, and no request is sent for it."""
    async with FakeArzamed() as fake:
        one = fake.add_clinic("Inventata")
        session = ArzamedSession(base_url=fake.base_url, pacing=limited_to(0.1), timeouts=Timeouts(total_seconds=300))
        [clinic] = await with_tokens(session, one)
        assert await read(clinic) > 0
        calls = [asyncio.create_task(read(clinic)) for _ in range(5)]
        await settle()
        assert waiting(session) == 5
        await session.aclose()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {SessionClosedError}
    assert waiting(session) == 0
    assert fake.api_requests() == 1


async def test_a_call_without_a_turn_reports_scope_rate_and_queue_and_what_to_do() -> None:
    """While two calls wait, one whose turn would come after its deadline fails at once, and names all of that."""
    async with FakeArzamed() as fake:
        one = fake.add_clinic("Inventata")
        async with ArzamedSession(
            base_url=fake.base_url, pacing=limited_to(0.2), timeouts=Timeouts(total_seconds=15)
        ) as session:
            [clinic] = await with_tokens(session, one)
            assert await read(clinic) > 0
            calls = [asyncio.create_task(read(clinic)) for _ in range(2)]
            await settle()
            with pytest.raises(DeadlineExceededError) as caught:
                await read(clinic)
            assert waiting(session) == 2
            for call in calls:
                call.cancel()
    text = str(caught.value)
    assert "Inventata: GET equipe/doctors: deadline of 15 s exceeded" in text
    assert "request not sent: the origin is paced at 0.2 requests a second, 2 requests wait, and the turn would" in text
    assert "Lower the concurrency, or raise Timeouts.total_seconds" in text
    assert fake.api_requests() == 1


async def test_a_call_that_waits_until_its_deadline_reports_the_queue() -> None:
    """A call whose turn was promised, and moved beyond its deadline, reports that it waited, and for what."""
    async with FakeArzamed() as fake:
        one = fake.add_clinic("Inventata")
        async with ArzamedSession(base_url=fake.base_url, pacing=limited_to(2)) as session:
            [clinic] = await with_tokens(session, one)
            assert await read(clinic) > 0
            call = asyncio.create_task(clinic.with_options(timeouts=Timeouts(total_seconds=0.6)).doctors.list())
            await settle()
            session._engine.pacing.origin.known.ready_at += 100  # type: ignore[union-attr]
            with pytest.raises(DeadlineExceededError) as caught:
                await call
    assert "request not sent: the origin is paced at 2 requests a second" in str(caught.value)
    assert "Lower the concurrency, or raise Timeouts.total_seconds" in str(caught.value)


async def test_calls_that_wait_for_a_connection_when_pacing_begins_take_a_turn() -> None:
    """Of 200 calls at once, those that wait for one of twenty connections are not sent unpaced after the first refusals."""
    statuses: Counter[int | None] = Counter()

    def observe(event: Event) -> None:
        if isinstance(event, RequestFinished):
            statuses[event.status] += 1

    async with FakeArzamed() as fake:
        drawn = [fake.add_clinic(f"Inventata {n}") for n in range(50)]
        fake.limit_rate(100, burst=10)
        async with ArzamedSession(
            base_url=fake.base_url, pool=PoolLimits(connections=20), observers=[observe]
        ) as session:
            calls = [read(clinic) for clinic in await with_tokens(session, *drawn) for _ in range(4)]
            assert all(await asyncio.gather(*calls))
            stats = session.stats()
    assert statuses[200] == 200
    assert statuses[429] < 100
    assert (stats.pool.in_use, stats.pool.queued) == (0, 0)
    assert {(each.in_flight, each.queued) for each in stats.clinics.values()} == {(0, 0)}


async def test_token_requests_that_wait_for_a_connection_when_pacing_begins_take_a_turn() -> None:
    """Of 120 clinics that need a token at once, those that wait for a connection do not all run into the limit as well."""
    async with FakeArzamed() as fake:
        drawn = [fake.add_clinic(f"Inventata {n}") for n in range(120)]
        fake.limit_rate(100, burst=10, on="token")
        async with ArzamedSession(base_url=fake.base_url, pool=PoolLimits(connections=20)) as session:
            await asyncio.gather(*[session.clinic(each).token() for each in drawn])
            assert session.stats().pool.in_use == 0
    assert fake.token_requests() < 180


@pytest.mark.parametrize(
    "header", ['RateLimit: "default";r=0;t=1', "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1", "Retry-After: 1"]
)
async def test_no_request_is_sent_before_a_used_up_limit_is_reset(header: str) -> None:
    """After a 429 that reports when there is more, as Retry-After or as a rate limit, the repeat is not sent earlier."""
    arrived: list[float] = []

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
            return
        arrived.append(time.monotonic())
        writer.write(answer(429, headers=f"{header}\r\n") if len(arrived) == 2 else json_answer(200, []))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        assert [await read(clinic) for _ in range(2)] == [0, 0]
    assert len(arrived) == 3
    assert arrived[2] - arrived[1] > 0.99


async def test_a_known_limit_is_kept_when_the_event_loop_was_held() -> None:
    """Calls that have had their turn and wait for the wire do not catch up at once after the event loop was held."""
    gate = asyncio.Event()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if not request.is_token:
            await gate.wait()
        writer.write(token_answer() if request.is_token else json_answer(200, []))

    sent: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, RequestFinished):
            sent.append(time.monotonic() - event.seconds)

    async with RawServer(handler) as server:
        drawn = [server.credentials(f"Inventata{n}") for n in range(8)]
        async with ArzamedSession(
            base_url=server.base_url, pacing=limited_to(50), pool=PoolLimits(connections=20), observers=[observe]
        ) as session:
            calls = [
                asyncio.create_task(read(clinic)) for clinic in await with_tokens(session, *drawn) for _ in range(12)
            ]
            await settle()
            while waiting(session) > 56:  # 20 are sent, and 20 have their turn, and wait for a connection
                await asyncio.sleep(0.01)
            gate.set()
            while len(sent) < 20:
                await asyncio.sleep(0)
            await settle()
            time.sleep(0.4)  # noqa: ASYNC251 - what holds the loop, as a long computation does
            await asyncio.gather(*calls)
    assert len(sent) == 96
    assert max(sum(start <= at < start + 0.99 for at in sent) for start in sent) <= 50


async def test_a_fan_out_ends_at_its_deadline_where_other_calls_crowd_the_queue() -> None:
    """While calls outside of it wait for half a minute, a fan-out with a deadline ends, and calls `fetch` no more."""
    async with FakeArzamed() as fake:
        drawn = [fake.add_clinic(f"Inventata {n}") for n in range(12)]
        async with ArzamedSession(
            base_url=fake.base_url, pacing=limited_to(0.5), timeouts=Timeouts(total_seconds=60)
        ) as session:
            clinics = await with_tokens(session, *drawn)
            others = [asyncio.create_task(read(clinic)) for clinic in clinics]
            await settle()
            async with asyncio.timeout(60):
                outcomes = await session.gather(drawn[:3], read, concurrency=1, deadline_seconds=0.2)
            assert waiting(session) >= 8
            for other in others:
                other.cancel()
    assert [type(outcome.error) for outcome in outcomes if not outcome.ok] == [DeadlineExceededError] * 3


async def test_calls_of_a_clinic_with_its_own_limit_hold_up_no_fan_out() -> None:
    """With a known limit, a fan-out over other clinics goes on while more calls of a limited clinic wait than it allows."""
    async with FakeArzamed() as fake:
        limited, *free = [fake.add_clinic(f"Inventata {n}") for n in range(6)]
        fake.limit_rate(0.2, clinic=limited)
        async with ArzamedSession(
            base_url=fake.base_url, pacing=limited_to(20), timeouts=Timeouts(total_seconds=60)
        ) as session:
            [clinic] = await with_tokens(session, limited)
            others = [asyncio.create_task(read(clinic)) for _ in range(60)]
            while "Inventata 0" not in paced(session).clinics:
                await asyncio.sleep(0.01)
            assert waiting(session) > 20
            async with asyncio.timeout(60):
                assert all(outcome.ok for outcome in await session.gather(free, read))
            assert waiting(session) > 20
            for other in others:
                other.cancel()


async def test_a_throttled_token_endpoint_holds_up_no_clinic_of_another() -> None:
    """A fan-out over clinics of one token endpoint goes on while requests to another one wait for their turn."""
    async with FakeArzamed() as throttled, FakeArzamed() as free:
        throttled.limit_rate(0.2, on="token")
        waiters = [throttled.add_clinic(f"Inventata {n}") for n in range(40)]
        others = [free.add_clinic(f"Altra {n}") for n in range(5)]
        async with ArzamedSession(base_url=free.base_url, timeouts=Timeouts(total_seconds=60)) as session:
            tokens = [asyncio.create_task(session.clinic(each).token()) for each in waiters]
            while throttled.origin not in paced(session).token_endpoints:
                await asyncio.sleep(0.01)
            mixed = asyncio.create_task(session.gather([waiters[0], *others], read, concurrency=2))
            async with asyncio.timeout(60):
                assert all(outcome.ok for outcome in await session.gather(others, read))
                while free.api_requests(others[-1]) < 2:
                    await asyncio.sleep(0.01)
            assert not mixed.done()
            for each in (*tokens, mixed):
                each.cancel()


async def test_a_call_that_waits_for_a_throttled_token_reports_that_turn() -> None:
    """Where a call's deadline passes while its token request waits for a turn, the error does not blame a slow response."""
    async with FakeArzamed() as fake:
        fake.limit_rate(2, on="token")
        drawn = [fake.add_clinic(f"Inventata {n}") for n in range(40)]
        async with ArzamedSession(base_url=fake.base_url) as session:
            clinics = [session.clinic(each).with_options(timeouts=Timeouts(total_seconds=2)) for each in drawn]
            errors = await asyncio.gather(*(read(each) for each in clinics), return_exceptions=True)
    turn = "(waiting for a turn, since the token endpoint limits the rate of requests"
    assert any(isinstance(error, DeadlineExceededError) and turn in str(error) for error in errors)
