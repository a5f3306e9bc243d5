"""Calls against an API that limits their rate, over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from arzamed_async import (
    ArzamedSession,
    BreakerPolicy,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    DeadlineExceededError,
    Event,
    Failure,
    PaceChanged,
    PacingPolicy,
    PoolLimits,
    RateLimitedError,
    RequestFinished,
    RetryPolicy,
    RetryScheduled,
    Timeouts,
    TokenUnavailableError,
)
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio

#: The first refusals of a limit may still be single failures, for the retry loop.
FIRST_REFUSALS = 10


async def read(clinic: Clinic) -> int:
    return len(await clinic.doctors.list())


def clinics(fake: FakeArzamed, number: int) -> list[ClinicCredentials]:
    return [fake.add_clinic(f"Inventata {n}", doctors=["Dr. Inventata"]) for n in range(number)]


@pytest.mark.parametrize("status", [429, 503])
async def test_all_clinics_are_served_under_a_limit_of_the_rate(status: int) -> None:
    """A fan-out over more clinics than the limit lets through at once serves all of them, with hardly a retry."""
    events: list[Event] = []
    async with FakeArzamed() as fake:
        drawn = clinics(fake, 150)
        fake.limit_rate(100, burst=20, status=status)
        async with ArzamedSession(base_url=fake.base_url, observers=[events.append]) as session:
            outcomes = await session.gather(drawn, read)
            stats = session.stats()
    assert [outcome.unwrap() for outcome in outcomes] == [1] * 150
    assert len([event for event in events if isinstance(event, RetryScheduled)]) < FIRST_REFUSALS
    assert stats.retry_budget_remaining == RetryPolicy().budget
    assert stats.pacing is not None
    assert stats.pacing.requests_per_second is not None
    statuses = Counter(event.status for event in events if isinstance(event, RequestFinished))
    assert statuses[200] == 150
    assert statuses[status] < 90
    [started, *_] = [event for event in events if isinstance(event, PaceChanged) and event.scope == "origin"]
    assert (started.change, started.clinic, started.base_url) == ("started", "", fake.origin)


async def test_all_clinics_are_served_under_a_limit_of_concurrency() -> None:
    """Where the API serves at most 8 requests at once, a fan-out with 64 workers serves all clinics."""
    async with FakeArzamed() as fake:
        drawn = clinics(fake, 150)
        fake.latency_seconds = 0.01
        fake.limit_concurrency(8)
        async with ArzamedSession(base_url=fake.base_url) as session:
            assert all(outcome.ok for outcome in await session.gather(drawn, read))


async def test_all_tokens_are_issued_under_a_limit_of_the_token_endpoint() -> None:
    """A limit of the token endpoint paces token requests, and not those to the API."""
    events: list[Event] = []
    async with FakeArzamed() as fake:
        drawn = clinics(fake, 120)
        fake.limit_rate(100, burst=20, on="token")
        async with ArzamedSession(base_url=fake.base_url, observers=[events.append]) as session:
            assert all(outcome.ok for outcome in await session.gather(drawn, read))
            stats = session.stats()
    assert stats.pacing is not None
    assert stats.pacing.requests_per_second is None
    assert stats.pacing.token_endpoints.keys() == {fake.origin}
    assert len([event for event in events if isinstance(event, RetryScheduled)]) < FIRST_REFUSALS


@pytest.mark.parametrize("status", [429, 503])
async def test_without_pacing_a_limit_is_met_by_retries_alone(status: int) -> None:
    """With `pacing=None` nothing is learned: retries give up on most clinics, and no pace is reported."""
    async with FakeArzamed() as fake:
        drawn = clinics(fake, 64)
        fake.limit_rate(0.001, burst=10, status=status)
        async with ArzamedSession(base_url=fake.base_url, retry=RetryPolicy.none(), pacing=None) as session:
            outcomes = await session.gather(drawn, read)
            assert session.stats().pacing is None
    assert sum(outcome.ok for outcome in outcomes) == 10


async def test_a_known_limit_is_not_exceeded_where_calls_wait_for_connections() -> None:
    """With a known limit the server receives no more requests in a second, though calls wait for two connections."""
    times: list[float] = []
    async with FakeArzamed() as fake:
        drawn = clinics(fake, 60)

        def sent(event: Event) -> None:
            if isinstance(event, RequestFinished):
                times.append(time.monotonic() - event.seconds)

        async with ArzamedSession(
            base_url=fake.base_url,
            pacing=PacingPolicy(max_requests_per_second=40),
            pool=PoolLimits(connections=2),
            observers=[sent],
        ) as session:
            assert all(outcome.ok for outcome in await session.gather(drawn, read))
            stats = session.stats()
    assert max(sum(start <= at < start + 0.99 for at in times) for start in times) <= 40
    assert stats.pacing is not None
    assert stats.pacing.requests_per_second == 40


async def test_a_long_retry_after_fails_later_calls_of_its_clinic_at_once() -> None:
    """After 429 with a long Retry-After a clinic's calls fail without a request, and say whose limit it is."""
    async with FakeArzamed() as fake:
        limited, free = clinics(fake, 2)
        fake.fail(429, times=1, retry_after=3600, clinic=limited)
        async with ArzamedSession(base_url=fake.base_url) as session:
            for _ in range(3):
                with pytest.raises(RateLimitedError) as caught:
                    await session.clinic(limited).doctors.list()
                assert caught.value.scope == "clinic"
                assert 3590 < (caught.value.retry_after_seconds or 0) <= 3600
                assert await read(session.clinic(free)) == 1
            assert fake.api_requests(limited) == 1
            assert "the server requires a pause of this clinic" in str(caught.value)
            stats = session.stats()
            assert stats.pacing is not None
            assert stats.pacing.clinics == {"Inventata 0": 0.0}
            session.forget(limited)
            assert await read(session.clinic(limited)) == 1


async def test_a_long_retry_after_of_many_clinics_fails_the_calls_of_all() -> None:
    """Where ten clinics are to pause for an hour and none is served, a call of an eleventh fails without a request."""
    async with FakeArzamed() as fake:
        *drawn, last = clinics(fake, 11)
        fake.fail(429, times=None, retry_after=3600)
        async with ArzamedSession(base_url=fake.base_url) as session:
            await session.clinic(last).token()
            assert not any(outcome.ok for outcome in await session.gather(drawn, read))
            before = fake.api_requests()
            with pytest.raises(RateLimitedError, match="the server requires a pause of this origin") as caught:
                await read(session.clinic(last))
    assert (caught.value.scope, caught.value.attempts, fake.api_requests()) == ("origin", 0, before)
    assert caught.value.retry_after_seconds is not None
    assert 3500 < caught.value.retry_after_seconds <= 3600


async def test_a_token_request_without_a_turn_before_its_deadline_fails_at_once() -> None:
    """A token request whose turn would come too late is not sent; its error names the pace, and is no pause of the server's."""
    async with FakeArzamed() as fake:
        drawn = clinics(fake, 60)
        fake.limit_rate(1, burst=5, on="token", retry_after=1)
        async with ArzamedSession(base_url=fake.base_url, timeouts=Timeouts(total_seconds=4)) as session:
            outcomes = await session.gather(drawn, read)
            failed = [outcome.error for outcome in outcomes if isinstance(outcome, Failure)]
            late = [error for error in failed if "token request not sent" in str(error)]
            sent = sum(each.token_requests for each in session.stats().clinics.values())
    assert late
    for error in late:
        assert isinstance(error, TokenUnavailableError)
        assert "the origin is paced at" in str(error)
        assert error.retry_after_seconds is None
    assert sent < 2 * len(drawn)
    assert fake.api_requests() == sum(outcome.ok for outcome in outcomes)


async def test_a_call_without_a_turn_before_its_deadline_fails_at_once() -> None:
    """With a known limit of one request in ten seconds the second call fails without waiting, and names the limit."""
    async with FakeArzamed() as fake:
        [one] = clinics(fake, 1)
        pacing, timeouts = PacingPolicy(max_requests_per_second=0.1), Timeouts(total_seconds=5)
        async with ArzamedSession(base_url=fake.base_url, pacing=pacing, timeouts=timeouts) as session:
            assert await read(session.clinic(one)) == 1
            started = asyncio.get_running_loop().time()
            with pytest.raises(DeadlineExceededError) as caught:
                await session.clinic(one).doctors.list()
            assert asyncio.get_running_loop().time() - started < 4
    assert "the origin is paced at 0.1 requests a second" in str(caught.value)
    assert fake.api_requests() == 1


async def test_refusals_that_were_waited_out_open_no_circuit() -> None:
    """Calls that were refused with 503, waited and were served leave the circuit breaker closed."""
    async with FakeArzamed() as fake:
        drawn = clinics(fake, 80)
        fake.limit_rate(100, burst=10, status=503)
        async with ArzamedSession(base_url=fake.base_url, breaker=BreakerPolicy(failure_threshold=2)) as session:
            outcomes = await session.gather(drawn, read)
            assert all(outcome.ok for outcome in outcomes)
            assert {each.breaker for each in session.stats().clinics.values()} == {"closed"}


async def test_a_paced_session_moves_to_another_loop() -> None:
    """A session that was paced in one event loop serves calls in the next one."""
    async with FakeArzamed() as fake:
        drawn = clinics(fake, 60)
        fake.limit_rate(200, burst=10)
        session = ArzamedSession(base_url=fake.base_url)

        def in_a_loop_of_its_own() -> bool:
            async def run() -> bool:
                return all(outcome.ok for outcome in await session.gather(drawn, read))

            return asyncio.run(run())

        assert await asyncio.to_thread(in_a_loop_of_its_own)
        assert await asyncio.to_thread(in_a_loop_of_its_own)


@pytest.mark.parametrize("rate", [0, -1, True, float("nan"), "50"])
async def test_a_known_limit_is_a_number_over_zero(rate: object) -> None:
    """Anything else is refused where it is given."""
    with pytest.raises(ConfigurationError):
        PacingPolicy(max_requests_per_second=rate)  # type: ignore[arg-type]
