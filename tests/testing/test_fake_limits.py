"""The limits of a fake Arzamed: of the rate of requests, and of their number in flight."""

from __future__ import annotations

import asyncio

import pytest

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ConfigurationError,
    RateLimitedError,
    RetryPolicy,
    ServiceUnavailableError,
    TokenUnavailableError,
)
from arzamed_async.testing import FakeArzamed, ManualClock

pytestmark = pytest.mark.asyncio


def unpaced(fake: FakeArzamed) -> ArzamedSession:
    """Return a session in which each call is one request."""
    return ArzamedSession(base_url=fake.base_url, retry=RetryPolicy.none(), pacing=None)


async def served(clinic: Clinic, calls: int) -> int:
    """Return how many of these calls, one after the other, are not refused."""
    count = 0
    for _ in range(calls):
        try:
            await clinic.doctors.list()
        except (RateLimitedError, ServiceUnavailableError):
            continue
        count += 1
    return count


async def test_a_burst_passes_and_then_the_rate_by_a_clock_that_is_advanced() -> None:
    """Three requests pass at once, then two in a thousand seconds; unused time saves up no more than the burst."""
    clock = ManualClock()
    async with FakeArzamed(clock=clock) as fake, unpaced(fake) as session:
        clinic = session.clinic(fake.add_clinic("Inventata"))
        await clinic.token()
        fake.limit_rate(0.002, burst=3)
        assert await served(clinic, 5) == 3
        clock.advance(1000)
        assert await served(clinic, 5) == 2
        clock.advance(2000)
        assert await served(clinic, 5) == 3


async def test_a_clock_that_stands_still_does_not_stop_the_rate() -> None:
    """A client that waits is served again, as by a server: clients wait in real time, whatever the fake's clock is."""
    async with FakeArzamed(clock=ManualClock()) as fake, unpaced(fake) as session:
        clinic = session.clinic(fake.add_clinic("Inventata"))
        fake.limit_rate(100)
        assert await served(clinic, 1) == 1
        async with asyncio.timeout(60):
            while not await served(clinic, 1):
                await asyncio.sleep(0.01)


async def test_a_refusal_has_the_status_and_the_retry_after_of_the_test() -> None:
    """`status` and `retry_after` are those of the refusal; the default is a bare 429."""
    async with FakeArzamed(clock=ManualClock()) as fake, unpaced(fake) as session:
        clinic = session.clinic(fake.add_clinic("Inventata"))
        fake.limit_rate(0.001, burst=1)
        assert await served(clinic, 1) == 1
        with pytest.raises(RateLimitedError) as bare:
            await clinic.doctors.list()
        assert bare.value.retry_after_seconds is None
        fake.limit_rate(0.001, burst=1, status=503, retry_after=7)
        assert await served(clinic, 1) == 1
        with pytest.raises(ServiceUnavailableError) as other:
            await clinic.doctors.list()
        assert other.value.retry_after_seconds == 7


async def test_a_limit_of_one_clinic_is_not_that_of_others() -> None:
    """With `clinic` only its requests count, and only they are refused."""
    async with FakeArzamed(clock=ManualClock()) as fake, unpaced(fake) as session:
        limited, free = (session.clinic(fake.add_clinic(f"Inventata {n}")) for n in range(2))
        fake.limit_rate(0.001, burst=2, clinic=limited.credentials)
        assert await served(free, 4) == 4
        assert await served(limited, 4) == 2


async def test_a_limit_of_tokens_is_not_one_of_the_api() -> None:
    """With `on="token"` the second clinic gets no token; the first one's calls are served."""
    async with FakeArzamed(clock=ManualClock()) as fake, unpaced(fake) as session:
        first, second = (session.clinic(fake.add_clinic(f"Inventata {n}")) for n in range(2))
        fake.limit_rate(0.001, burst=1, on="token")
        assert await served(first, 3) == 3
        with pytest.raises(TokenUnavailableError):
            await second.token()


async def test_a_limit_of_concurrency_counts_open_requests() -> None:
    """Of five requests at once two are served, the others get 503; one that has ended makes room."""
    async with FakeArzamed() as fake, unpaced(fake) as session:
        clinic = session.clinic(fake.add_clinic("Inventata"))
        await clinic.token()
        fake.limit_concurrency(2)
        fake.latency_seconds = 0.3
        calls = [asyncio.create_task(served(clinic, 1)) for _ in range(5)]
        assert sum(await asyncio.gather(*calls)) == 2
        await fake.wait_until_idle()
        assert await served(clinic, 1) == 1


async def test_clear_faults_drops_limits() -> None:
    """After `clear_faults()` nothing is limited; with a clinic, only what was set for it."""
    async with FakeArzamed(clock=ManualClock()) as fake, unpaced(fake) as session:
        one, other = (session.clinic(fake.add_clinic(f"Inventata {n}")) for n in range(2))
        for clinic in (one, other):
            fake.limit_rate(0.001, burst=1, clinic=clinic.credentials)
        fake.clear_faults(one.credentials)
        assert await served(one, 3) == 3
        assert await served(other, 3) == 1
        fake.clear_faults()
        assert await served(other, 3) == 3


async def test_limits_that_make_no_sense_are_refused_where_they_are_set() -> None:
    """A negative rate, no burst, no request in flight, a status that is no refusal: a ConfigurationError at once."""
    async with FakeArzamed() as fake:
        for wrong in ({"requests_per_second": -1}, {"burst": 0}, {"status": 200}, {"on": "photo"}):
            with pytest.raises(ConfigurationError):
                fake.limit_rate(**{"requests_per_second": 1, **wrong})
        with pytest.raises(ConfigurationError):
            fake.limit_concurrency(0)
