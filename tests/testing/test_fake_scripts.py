"""FakeArzamed as a test kit: scripts of faults, assertions, a clock, and a thread of its own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from arzamed_async import (
    ArzamedSession,
    ClinicCredentials,
    ConfigurationError,
    DecodeError,
    RateLimitedError,
    RetryPolicy,
    StatusError,
    Timeouts,
    TokenError,
    TokenUnavailableError,
    TransportError,
    UnauthorizedError,
)
from arzamed_async.testing import Answer, FakeArzamed, ManualClock

ONCE = RetryPolicy.none()
QUICK = RetryPolicy(initial_backoff_seconds=0.001, max_backoff_seconds=0.001)


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeArzamed]:
    async with FakeArzamed() as server:
        yield server


@pytest_asyncio.fixture
async def session(fake: FakeArzamed) -> AsyncIterator[ArzamedSession]:
    async with ArzamedSession(base_url=fake.base_url, retry=ONCE) as opened:
        yield opened


@pytest.fixture
def milano(fake: FakeArzamed) -> ClinicCredentials:
    return fake.add_clinic("Milano")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("step", "kind", "words"),
    [
        ("cut", TransportError, "cut"),
        ("reset", TransportError, "lost before the response"),
        ("garbage", TransportError, "not HTTP"),
        ("hang", TransportError, "no data within read_seconds"),
        (401, UnauthorizedError, "401"),
        (Answer(429, retry_after=7), RateLimitedError, "429"),
        (Answer(), DecodeError, "empty"),
        (Answer(body=b'[{"name": "Dr'), TransportError, "ends before the list does"),
        (Answer(body=b"[oops]"), DecodeError, "JSON"),
        (Answer(json=[{"name": 1, "profileImage": None}]), DecodeError, "name"),
        (Answer(json=None), DecodeError, "list|array"),
    ],
)
async def test_each_step_of_a_script_applies_once(fake, session, milano, step, kind, words) -> None:
    """Every step applies to one request, as the documented error; the next request is good."""
    clinic = session.clinic(milano).with_options(timeouts=Timeouts(read_seconds=0.1))
    steps = [step, step] if step == 401 else [step]  # a 401 is retried once, with a new token
    fake.script(*steps)
    with pytest.raises(kind, match=words) as caught:
        await clinic.doctors.list()
    if isinstance(caught.value, RateLimitedError):
        assert caught.value.retry_after_seconds == 7
    assert len(await clinic.doctors.list()) == 3
    await fake.wait_until_idle()


@pytest.mark.asyncio
async def test_steps_apply_in_order_also_after_a_fail(fake, session, milano) -> None:
    """A script is added after what is scripted, whatever its kind; "ok" lets one request through."""
    doctors = session.clinic(milano).doctors
    fake.fail(502)
    fake.script("cut", "ok", 503)
    seen = []
    for _ in range(5):
        try:
            seen.append(len(await doctors.list()))
        except (TransportError, StatusError) as error:
            seen.append(getattr(error, "status", "cut"))
    assert seen == [502, "cut", 3, 503, 3]


@pytest.mark.asyncio
async def test_a_script_can_be_for_a_clinic_a_path_or_the_token(fake, session, milano) -> None:
    """clinic, path and on narrow a script down; clear_faults drops it."""
    roma = fake.add_clinic("Roma")
    fake.script(Answer(json={"access_token": ""}), on="token", clinic=roma)
    fake.script(503, path="equipe/rooms")
    assert len(await session.clinic(milano).doctors.list()) == 3
    with pytest.raises(TokenError):
        await session.clinic(roma).doctors.list()
    fake.script("hang", "hang", clinic=milano)
    fake.clear_faults()
    assert len(await session.clinic(milano).doctors.list()) == 3


@pytest.mark.parametrize("step", ["oops", None, 200, True, 5.0, ["cut"]])
def test_a_step_that_is_none_is_refused(step) -> None:
    """Anything but a status, a name or an `Answer` is a ConfigurationError, and then no step of that script is kept."""
    with FakeArzamed() as fake:
        with pytest.raises(ConfigurationError, match="300 to 599|a step of a script"):
            fake.script("cut", step)
        assert fake._handler.faults._entries == []


def test_an_invalid_answer_is_refused() -> None:
    """A status out of range, or a body twice, is a ConfigurationError."""
    with pytest.raises(ConfigurationError, match="200 to 599"):
        Answer(100)
    with pytest.raises(ConfigurationError, match="not both"):
        Answer(json=[], body=b"[]")


@pytest.mark.asyncio
async def test_assertions_list_the_requests_received(fake, session, milano) -> None:
    """A failed assertion lists the requests with their clinics, and neither token nor secret."""
    with pytest.raises(AssertionError, match="no requests received"):
        fake.assert_requested("equipe/doctors")
    roma = fake.add_clinic("Roma")
    await session.clinic(milano).doctors.list({"day": "2030-01-07"})
    token = await session.clinic(milano).token()
    fake.assert_token_requests(milano, 1)
    fake.assert_token_requests(None, 1)
    fake.assert_api_requests("Milano", 1)
    fake.assert_requested("equipe/doctors")
    fake.assert_requested("/equipe/doctors", params={"day": "2030-01-07"}, clinic=milano, times=1)
    fake.assert_requested("equipe/doctors", clinic=roma, times=0)
    for act, words in [
        (lambda: fake.assert_token_requests(milano, 2), "expected 2 token requests of Milano, there were 1"),
        (lambda: fake.assert_api_requests(None, 0), "expected 0 API requests, there were 1"),
        (lambda: fake.assert_requested("equipe/slots"), "expected GET equipe/slots at least once"),
        (lambda: fake.assert_requested("equipe/doctors", params={}), r"params {} at least once"),
        (lambda: fake.assert_requested("equipe/doctors", params={"day": 1}), r"params {'day': 1} at least once"),
        (lambda: fake.assert_requested("equipe/doctors", clinic=roma), "equipe/doctors of Roma at least once"),
        (lambda: fake.assert_requested("equipe/doctors", times=2), "2 times, it was requested 1 time"),
    ]:
        with pytest.raises(AssertionError, match=words) as caught:
            act()
        told = str(caught.value)
        assert "  1. POST /oauth2/1/token (Milano)" in told
        assert "  2. GET /api/v1/equipe/doctors?day=2030-01-07 (Milano)" in told
        assert token.access_token not in told
        assert str(milano.client_secret) not in told


@pytest.mark.asyncio
async def test_only_the_last_requests_are_listed(fake, session, milano) -> None:
    """An assertion's message stays short: the last twenty requests, with their numbers."""
    for _ in range(24):
        await session.clinic(milano).doctors.list()
    with pytest.raises(AssertionError) as caught:
        fake.assert_api_requests(milano, 1)
    lines = str(caught.value).splitlines()
    assert (lines[2], lines[3][:5], len(lines)) == ("  ...", "  6. ", 23)


@pytest.mark.asyncio
async def test_waiting_until_idle_reports_open_requests(fake, session, milano) -> None:
    """wait_until_idle returns once a cancelled call's connection has closed, and raises where a request stays open."""
    fake.script("hang")
    call = asyncio.create_task(session.clinic(milano).doctors.list())
    while not fake.api_requests():
        await asyncio.sleep(0.001)
    with pytest.raises(AssertionError, match="requests still open: 1"):
        await fake.wait_until_idle(within_seconds=0)
    call.cancel()
    await asyncio.wait([call])
    await fake.wait_until_idle()


@pytest.mark.asyncio
async def test_a_clock_that_is_moved_expires_tokens_here_and_there() -> None:
    """With one ManualClock for fake and session, an hour costs one more token request, for any number of callers."""
    clock = ManualClock()
    async with FakeArzamed(clock=clock) as fake:
        milano = fake.add_clinic("Milano")
        async with ArzamedSession(base_url=fake.base_url, clock=clock, wall_clock=clock) as session:
            first = await session.clinic(milano).token()
            assert first.expires_at.timestamp() == clock() + 3600
            clock.advance(3600)
            second = await asyncio.gather(*(session.clinic(milano).token() for _ in range(5)))
            assert len({token.access_token for token in second} | {first.access_token}) == 2
            await session.clinic(milano).doctors.list()
        fake.assert_token_requests(milano, 2)
    with pytest.raises(ConfigurationError, match="seconds"):
        clock.advance(-1)
    assert repr(clock) == f"<ManualClock {clock():.3f}>"


# A thread of its own


def test_a_fake_in_a_thread_serves_one_loop_after_the_other() -> None:
    """`with` serves tests that have no event loop; closed, it refuses connections, and its thread is gone."""

    async def read() -> int:
        async with ArzamedSession(base_url=fake.base_url, retry=QUICK) as session:
            return len(await session.clinic(milano).doctors.list())

    before = threading.active_count()
    with FakeArzamed() as fake:
        milano = fake.add_clinic("Milano", doctors=lambda: ["Dr. Inventata Uno"])
        fake.script(503, "reset")
        assert [asyncio.run(read()) for _ in range(2)] == [1, 1]
        fake.close()
        with pytest.raises(TokenUnavailableError, match="connection refused"):
            asyncio.run(read())
        asyncio.run(fake.aclose())
    assert threading.active_count() == before
    fake.assert_api_requests(milano, 4)


def test_a_thread_that_cannot_start_raises_its_error() -> None:
    """What start raises is raised by `with`; close is for a fake in a thread."""
    with FakeArzamed() as fake:
        pass
    with pytest.raises(ConfigurationError, match="starts once"), fake:
        pass
    with pytest.raises(ConfigurationError, match="no thread of its own"):
        FakeArzamed().close()


def test_scripting_from_another_thread_disturbs_no_request() -> None:
    """Scripts, clear_faults, expire_tokens and the counters may be used from any thread while requests are served."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    answered: list[int] = []

    async def read() -> None:
        async with ArzamedSession(base_url=fake.base_url, retry=ONCE) as session:
            for each in range(150):
                session.forget(milano)
                answered.append(len(await session.clinic(milano).doctors.list({"n": str(each)})))

    try:
        with FakeArzamed() as fake:
            milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
            for _ in range(2000):
                clinic = fake._handler.clinics.find(roma)
                fake._handler.tokens.issue(clinic, clinic.keys[0], "", 3600)
            reader = threading.Thread(target=lambda: asyncio.run(read()))
            reader.start()
            while reader.is_alive():
                fake.script("ok", "ok", clinic=milano)
                fake.clear_faults(milano)
                fake.expire_tokens(roma)
                assert len(fake.requests) >= len(answered)
            reader.join()
    finally:
        sys.setswitchinterval(interval)
    assert answered == [3] * 150
