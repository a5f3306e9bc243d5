"""What a session keeps of clinics that are idle: nothing for ever, and all that matters for as long as it does."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from support.raw_server import DOCTORS, RawServer, Request, answer, json_answer, token_answer
from support.tokens import Clock

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    BreakerPolicy,
    CircuitOpenError,
    ClinicCredentials,
    RateLimitedError,
    RetryPolicy,
    TokenUnavailableError,
)
from arzamed_async._calls.clinics import IDLE_SECONDS, MOST_IDLE

pytestmark = pytest.mark.asyncio

ONCE = RetryPolicy(max_attempts=1)


class Platform(RawServer):
    """Issues tokens of a lifetime that a test sets, counts them, and fails as the test says."""

    def __init__(self) -> None:
        super().__init__(self.respond)
        self.tokens: Counter[str] = Counter()
        self.lifetime = 3600
        self.api = json_answer(200, DOCTORS)
        self.failure = b""

    async def respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.requests.clear()  # what the server keeps is no cost of the client's
        if not request.is_token:
            writer.write(self.api)
            return
        self.tokens[request.target.rpartition("/")[2]] += 1
        writer.write(self.failure or token_answer(expires_in=self.lifetime))


@pytest_asyncio.fixture
async def platform() -> AsyncIterator[Platform]:
    async with Platform() as server:
        yield server


def states(session: ArzamedSession) -> int:
    """Return the number of clinics that the session knows."""
    return len(list(session._engine.clinics))


def blocks() -> int:
    """Return the number of memory blocks in use."""
    gc.collect()
    return sys.getallocatedblocks()


_others = itertools.count()


async def push_out(session: ArzamedSession, server: RawServer) -> None:
    """Let so many other clinics be seen that an idle one is dropped: of those seen before them, none is held."""
    idle = server.credentials(f"idle{next(_others)}")
    session.clinic(idle)
    for _ in range(MOST_IDLE + 64):
        session.clinic(server.credentials(f"other{next(_others)}"))
    assert session._engine.clinics.get(idle) is None


async def test_handles_alone_leave_nothing(platform: Platform) -> None:
    """100,000 distinct clinics by `session.clinic()` alone, 50,000 secrets of one among them: memory does not grow."""
    async with ArzamedSession(base_url=platform.base_url) as session:
        await push_out(session, platform)
        before = blocks()
        for number in range(50_000):
            session.clinic(ClinicCredentials(f"n{number}", "invented", "https://auth.invented.example/token"))
            session.clinic(ClinicCredentials("one", f"invented-{number}", "https://auth.invented.example/token"))
        after = blocks()
        assert states(session) <= MOST_IDLE + 1
    assert after - before < 5_000


async def test_clinics_that_were_read_once_are_gone(platform: Platform) -> None:
    """Clinics whose tokens have expired after one call, each with a token endpoint or secret of its own, leave nothing."""
    clock = Clock()
    async with ArzamedSession(base_url=platform.base_url, clock=clock, wall_clock=clock.wall) as session:

        async def read(first: int, number: int) -> int:
            for each in range(first, first + number):
                name, secret = (f"n{each}", "invented") if each % 2 else ("one", f"invented-{each}")
                await session.clinic(platform.credentials(name, secret=secret)).doctors.list()
                clock.advance(4000)
            return blocks()

        before = await read(0, 2 * MOST_IDLE)
        after = await read(10_000, MOST_IDLE)
        assert states(session) <= MOST_IDLE + 2
        assert platform.tokens.total() == 3 * MOST_IDLE
    assert after - before < 1_000


async def test_an_idle_clinic_is_dropped_after_a_while(platform: Platform) -> None:
    """In a session with few clinics, too, one without a token is dropped hours later, and its secret with it."""
    clock = Clock()
    async with ArzamedSession(base_url=platform.base_url, clock=clock, wall_clock=clock.wall) as session:
        await session.clinic(platform.credentials("gone")).token()
        clock.advance(3600 + IDLE_SECONDS / 2)
        await session.clinic(platform.credentials("other")).token()
        assert set(session.stats().clinics) == {"gone", "other"}
        clock.advance(IDLE_SECONDS / 2)
        await session.clinic(platform.credentials("third")).token()
        assert set(session.stats().clinics) == {"other", "third"}


async def test_a_clinic_with_a_token_is_kept(platform: Platform) -> None:
    """A token that is valid is not requested again, whatever the number of other clinics; an expired one is, once."""
    clock, credentials = Clock(), platform.credentials("mine")
    async with ArzamedSession(base_url=platform.base_url, clock=clock, wall_clock=clock.wall) as session:
        for hour in range(3):
            for _ in range(2):
                await push_out(session, platform)
                await asyncio.gather(*[session.clinic(credentials).doctors.list() for _ in range(5)])
            assert platform.tokens["mine"] == hour + 1
            clock.advance(3600)


async def test_a_handle_outlives_the_state(platform: Platform) -> None:
    """A handle goes on after its clinic was dropped, and shares with any other: one request at a time, one token."""
    clock, credentials = Clock(), platform.credentials("mine")
    async with ArzamedSession(base_url=platform.base_url, clock=clock, wall_clock=clock.wall) as session:
        old = session.clinic(credentials)
        doctors = old.doctors
        await doctors.list()
        clock.advance(3600)
        await push_out(session, platform)
        assert session.stats().clinics["mine"].requests == 1  # somebody has it
        new = session.clinic(credentials)
        tokens = await asyncio.gather(old.token(), new.token(), doctors.list(), new.doctors.list())
        assert tokens[0].access_token is tokens[1].access_token
        assert platform.tokens["mine"] == 2
        del old, new, doctors
        await push_out(session, platform)
        await session.clinic(credentials).doctors.list()
        assert platform.tokens["mine"] == 2
        assert session.stats().clinics["mine"].requests == 4


async def test_a_request_under_way_is_not_sent_twice(platform: Platform) -> None:
    """The only caller leaves while its token request is under way, and other clinics come: the next caller joins it."""
    gate, credentials = asyncio.Event(), platform.credentials("mine")
    respond = platform.respond

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await respond(request, writer)

    platform.handler = slow
    async with ArzamedSession(base_url=platform.base_url) as session:
        first = asyncio.create_task(session.clinic(credentials).token())
        while not platform.requests:
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        del first
        await push_out(session, platform)
        gc.collect()  # a cancelled call may be garbage in a cycle
        second = asyncio.create_task(session.clinic(credentials).token())
        await asyncio.sleep(0)
        gate.set()
        await second
    assert platform.tokens["mine"] == 1


async def test_a_pause_of_the_token_endpoint_is_kept(platform: Platform) -> None:
    """A Retry-After of a token endpoint, and refused credentials, are remembered among any number of other clinics."""
    clock = Clock()
    paused, refused = platform.credentials("paused"), platform.credentials("refused")
    async with ArzamedSession(base_url=platform.base_url, retry=ONCE, clock=clock, wall_clock=clock.wall) as session:
        for credentials, failure, seconds in (
            (paused, answer(429, headers="Retry-After: 600\r\n"), 600),
            (refused, answer(401), 60),
        ):
            platform.failure = failure
            with pytest.raises(ArzamedError):
                await session.clinic(credentials).token()
            for _ in range(2):
                await push_out(session, platform)
                clock.advance(seconds / 2 - 1)
                with pytest.raises(ArzamedError) as caught:
                    await session.clinic(credentials).token()
            assert isinstance(caught.value, TokenUnavailableError) == (credentials is paused)
            assert platform.tokens[credentials.name] == 1
            clock.advance(3)
            platform.failure = b""
            await push_out(session, platform)
            await session.clinic(credentials).token()
            assert platform.tokens[credentials.name] == 2


async def test_a_pause_of_the_api_is_kept(platform: Platform) -> None:
    """A clinic for which the API requires a long pause sends nothing meanwhile, though its token has expired."""
    clock, credentials = Clock(), platform.credentials("mine")
    async with ArzamedSession(base_url=platform.base_url, clock=clock, wall_clock=clock.wall) as session:
        platform.api = answer(429, headers="Retry-After: 600\r\n")
        with pytest.raises(RateLimitedError):
            await session.clinic(credentials).doctors.list()
        platform.api = json_answer(200, DOCTORS)
        clock.advance(3600)
        await push_out(session, platform)
        with pytest.raises(RateLimitedError) as caught:
            await session.clinic(credentials).doctors.list()
        assert "request not sent" in str(caught.value)


async def test_an_open_circuit_is_kept(platform: Platform) -> None:
    """The circuit of a clinic that keeps failing stays open, though its token has expired."""
    clock, credentials = Clock(), platform.credentials("mine")
    breaker = BreakerPolicy(failure_threshold=2, open_seconds=7200)
    session = ArzamedSession(
        base_url=platform.base_url, retry=ONCE, breaker=breaker, clock=clock, wall_clock=clock.wall
    )
    async with session:
        platform.api = answer(500)
        for _ in range(2):
            with pytest.raises(ArzamedError):
                await session.clinic(credentials).doctors.list()
        clock.advance(3600)
        await push_out(session, platform)
        with pytest.raises(CircuitOpenError):
            await session.clinic(credentials).doctors.list()


async def test_handles_made_outside_of_the_event_loop(platform: Platform) -> None:
    """Clinics for which handles are made where no loop runs are dropped later, when one runs."""
    session = ArzamedSession(base_url=platform.base_url)

    def make() -> None:
        for number in range(2 * MOST_IDLE):
            session.clinic(platform.credentials(f"n{number}"))

    await asyncio.to_thread(make)
    assert states(session) == 2 * MOST_IDLE
    async with session:
        await push_out(session, platform)
        assert states(session) <= MOST_IDLE + 1
