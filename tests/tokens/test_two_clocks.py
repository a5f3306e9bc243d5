"""Suspend and set clocks: a token has expired when either clock says so, and a clock that jumps costs next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support import Request, settle
from support.tokens import Clock, Endpoint
from test_shared import Numbered

from arzamed_async import ArzamedSession, TokenError
from arzamed_async._tokens.cache import TokenCache
from arzamed_async.stores import FileTokenStore
from arzamed_async.testing import FakeArzamed, ManualClock, MemoryTokenStore

pytestmark = pytest.mark.asyncio

DAY = 86_400.0


@pytest.mark.parametrize("asleep", [3600.0, 5 * 3600.0, 30 * DAY])
async def test_a_token_that_expired_in_a_suspend_is_neither_sent_nor_handed_out(asleep: float) -> None:
    """After a suspend, in which the monotonic clock stands still, a call and `clinic.token()` get a new token."""
    awake, wall = ManualClock(), ManualClock()
    async with FakeArzamed(clock=wall) as fake:
        credentials = fake.add_clinic("milano")
        async with ArzamedSession(base_url=fake.base_url, clock=awake, wall_clock=wall) as session:
            clinic = session.clinic(credentials)
            first = await clinic.token()
            wall.advance(asleep)
            second = await clinic.token()
            assert second.access_token != first.access_token
            assert second.expires_at.timestamp() > wall()
            wall.advance(asleep)
            assert await clinic.doctors.list()
        assert fake.token_requests(credentials) == 3


async def test_a_suspend_that_ends_shortly_before_expiry(cache: TokenCache, endpoint: Endpoint, clock: Clock) -> None:
    """The windows count by the older age as well: a background refresh 5 minutes ahead, and a wait in the last 30 s."""
    await cache.get()
    clock.set_wall(3299)
    assert cache.current() is not None
    await settle()
    assert endpoint.calls == 1
    clock.set_wall(2)
    endpoint.gate = asyncio.Event()
    assert cache.current() is not None
    await settle()
    assert endpoint.calls == 2
    clock.set_wall(270)
    assert cache.current() is None


@pytest.mark.parametrize("jumps", [(DAY,), (-DAY,), (DAY, -DAY), (-DAY, DAY), (DAY, DAY), (-DAY, -DAY)])
async def test_a_wall_clock_that_jumps_by_a_day(
    cache: TokenCache, endpoint: Endpoint, clock: Clock, jumps: tuple[float, ...]
) -> None:
    """Each jump of the time of day, forward or back, costs one token request at most, and no call more than a wait."""
    await cache.get()
    for number, jump in enumerate(jumps, 1):
        clock.set_wall(jump)
        for _ in range(10):
            await cache.get()
            await settle()
            clock.advance(1)
        assert endpoint.calls <= 1 + number


async def test_a_clock_that_is_set_back_leaves_the_monotonic_one_in_charge(
    cache: TokenCache, endpoint: Endpoint, clock: Clock
) -> None:
    """With the time of day a day back a token ends when its hour is over."""
    await cache.get()
    clock.set_wall(-DAY)
    clock.advance(3299)
    assert cache.current() is not None
    clock.advance(272)
    assert cache.current() is None
    assert (await cache.get()).token().access_token == "token-2"


@pytest.mark.parametrize("jump", [3600.0, DAY])
async def test_a_suspend_during_the_token_request(
    cache: TokenCache, endpoint: Endpoint, clock: Clock, jump: float
) -> None:
    """A token that expired on its way by the wall clock alone is fetched again at once: no caller sees an error."""
    endpoint.gate = asyncio.Event()
    task = asyncio.create_task(cache.get())
    await settle()
    clock.set_wall(jump)
    endpoint.gate.set()
    assert (await task).token().access_token == "token-2"
    assert endpoint.calls == 2
    assert cache.current() is not None


async def test_a_wall_clock_that_jumps_at_each_request_is_an_error_after_two(
    cache: TokenCache, endpoint: Endpoint, clock: Clock
) -> None:
    """However the time of day behaves, one wait for a token costs two requests at most."""
    endpoint.gate = asyncio.Event()
    task = asyncio.create_task(cache.get())
    for _ in range(2):
        await settle()
        clock.set_wall(DAY)
        gate, endpoint.gate = endpoint.gate, asyncio.Event()
        gate.set()
    with pytest.raises(TokenError, match="expired before it arrived"):
        await task
    assert endpoint.calls == 2


@pytest_asyncio.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncIterator[Any]:
    if request.param == "file":
        store: Any = FileTokenStore(tmp_path / "tokens", clock=clock.wall)
    else:
        store = MemoryTokenStore(clock=clock, wall_clock=clock.wall)
    yield store
    await store.aclose()


async def test_a_token_in_a_store_expires_in_a_suspend_too(clock: Clock, store: Any) -> None:
    """A session that starts after a suspend finds no token whose hour is over by the time of day."""
    async with Numbered() as server:
        for asleep, expected in ((0.0, "t1"), (1800.0, "t1"), (3600.0, "t2")):
            clock.set_wall(asleep)
            async with ArzamedSession(
                base_url=server.base_url, token_store=store, clock=clock, wall_clock=clock.wall
            ) as session:
                assert (await session.clinic(server.credentials()).token()).access_token == expected


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_a_jump_costs_all_sessions_of_a_store_two_requests_at_most(clock: Clock, store: Any, jump: float) -> None:
    """Sessions that share a store share what a jump of the time of day costs, before, with and after it."""
    async with Numbered() as server:
        sessions = [
            ArzamedSession(base_url=server.base_url, token_store=store, clock=clock, wall_clock=clock.wall)
            for _ in range(4)
        ]
        before = 0
        for step in (0.0, jump, -jump):
            clock.set_wall(step)
            for _ in range(3):
                for session in sessions:
                    await session.clinic(server.credentials()).token()
                clock.advance(1)
            assert server.token_requests - before <= 2
            before = server.token_requests
        for session in sessions:
            await session.aclose()
        assert server.token_requests <= 3


async def test_a_suspend_during_the_request_leaves_no_expired_token_in_the_store(clock: Clock, store: Any) -> None:
    """A token that expired before its response was read is not stored for others, and the caller gets the next one."""

    class Sleepy(Numbered):
        async def numbered(self, request: Request, writer: asyncio.StreamWriter) -> None:
            if request.is_token and self.token_requests == 1:
                clock.set_wall(3600.0)
            await super().numbered(request, writer)

    async with Sleepy() as server:
        for _ in range(2):
            async with ArzamedSession(
                base_url=server.base_url, token_store=store, clock=clock, wall_clock=clock.wall
            ) as session:
                assert (await session.clinic(server.credentials()).token()).access_token == "t2"
        assert server.token_requests == 2
