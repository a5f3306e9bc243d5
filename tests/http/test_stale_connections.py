"""Connections that a box in between has forgotten: what the first failure teaches, and what it costs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from support.raw_server import RawServer, Request, take_ordinary_lane

from arzamed_async import (
    ArzamedSession,
    BreakerPolicy,
    Clinic,
    PoolLimits,
    RetryPolicy,
    Timeouts,
    TokenUnavailableError,
    TransportError,
)
from arzamed_async._http import direct

pytestmark = pytest.mark.asyncio

MANY = 30
#: A backoff that no test would sit out, and a budget without a retry.
LONG = RetryPolicy(initial_backoff_seconds=1000.0, max_backoff_seconds=1000.0, budget=0)
QUICK = RetryPolicy(initial_backoff_seconds=0.001)


class Box:
    """A server behind a box that forgets connections: their next request is reset, or meets silence."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.gate = asyncio.Event()
        self.known: set[asyncio.StreamWriter] = set()
        self.forgotten: set[asyncio.StreamWriter] = set()
        self.server = RawServer(self.handle)
        self.slow_seconds = 0.0

    async def handle(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if writer in self.forgotten:
            if self.mode == "silent":
                await asyncio.Event().wait()
            writer.transport.abort()
            return
        self.known.add(writer)
        if "together" in request.target:
            await self.gate.wait()
        if "slow" in request.target:
            await asyncio.sleep(self.slow_seconds)
        await self.server.good(request, writer)

    def forget(self) -> None:
        """Forget all connections that there are."""
        self.forgotten |= self.known

    async def fill(self, clinic: Clinic, connections: int = MANY) -> None:
        """Let this many connections become idle."""
        await clinic.token()
        calls = [asyncio.create_task(clinic.get("together")) for _ in range(connections)]
        async with asyncio.timeout(60):
            while self.server.api_requests < connections:
                await asyncio.sleep(0.001)
        self.gate.set()
        await asyncio.gather(*calls)


@contextlib.asynccontextmanager
async def boxed(
    mode: str, retry: RetryPolicy, timeouts: Timeouts, breaker: BreakerPolicy | None = None
) -> AsyncIterator[tuple[Box, ArzamedSession, Clinic]]:
    box = Box(mode)
    pool = PoolLimits(connections=MANY + 10, connections_per_clinic=MANY)
    async with (
        box.server as server,
        ArzamedSession(base_url=server.base_url, retry=retry, timeouts=timeouts, pool=pool, breaker=breaker) as session,
    ):
        yield box, session, session.clinic(server.credentials())


@pytest.mark.parametrize("lane", ["direct", "ordinary"])
@pytest.mark.parametrize("mode", ["reset", "silent"])
async def test_thirty_forgotten_connections_cost_three_requests_at_most(
    mode: str, lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call fails, and there are at most three requests more than calls: the first failure closes all of them."""
    if lane == "ordinary":
        take_ordinary_lane(monkeypatch)
    async with boxed(mode, QUICK, Timeouts(read_seconds=1.0)) as (box, session, clinic):
        await box.fill(clinic)
        monkeypatch.setattr(direct, "LOOK_SECONDS", 0.1)
        assert session.stats().pool.open >= MANY
        box.forget()
        before = box.server.api_requests
        for _ in range(10):
            assert len(await clinic.doctors.list()) == 3
        assert box.server.api_requests - before - 10 <= 3
        assert session.stats().pool.open == 1


async def test_a_connection_found_closed_costs_neither_budget_nor_delay() -> None:
    """A reset before the first byte over a reused connection is retried at once, and no fault of the server's."""
    async with boxed("reset", LONG, Timeouts(), BreakerPolicy(failure_threshold=1)) as (box, _, clinic):
        await box.fill(clinic, 4)
        box.forget()
        async with asyncio.timeout(60):
            assert len(await clinic.doctors.list()) == 3


async def test_a_new_connection_that_is_reset_costs_budget() -> None:
    """Over a new connection the server may have processed the request: only the retry of the stale one is free."""
    async with boxed("reset", LONG, Timeouts()) as (box, _, clinic):
        await clinic.token()
        box.forget()

        async def reset(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        box.server.handler = reset
        with pytest.raises(TransportError, match="the session's retry budget is spent") as caught:
            await clinic.doctors.list()
        assert not caught.value.stale
        assert caught.value.attempts == 2


async def test_a_free_retry_pays_nothing_back() -> None:
    """A call that succeeds after free retries alone pays 0.1 into the budget, as a call without any; else it pays 1."""
    policy = RetryPolicy(initial_backoff_seconds=0.001, budget=10)
    async with boxed("reset", policy, Timeouts()) as (box, session, clinic):
        resets = 0

        async def unlucky(request: Request, writer: asyncio.StreamWriter) -> None:
            nonlocal resets
            if resets and writer not in box.forgotten:
                resets -= 1
                writer.transport.abort()
            else:
                await box.handle(request, writer)

        async def read(new_ones_reset: int) -> float:
            nonlocal resets
            box.forget()
            resets = new_ones_reset
            before = box.server.api_requests
            assert len(await clinic.doctors.list()) == 3
            assert box.server.api_requests - before == 2 + new_ones_reset  # the first one over the forgotten connection
            return session.stats().retry_budget_remaining

        box.server.handler = unlucky
        await clinic.doctors.list()
        assert await read(2) == 9  # two retries were charged, and one paid back
        assert await read(0) == pytest.approx(9.1)
        assert await read(1) == pytest.approx(9.1)


async def test_a_silent_connection_is_given_up_before_read_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a reused connection says nothing for some looks, the request is repeated over a new one."""
    async with boxed("silent", QUICK, Timeouts(read_seconds=1000, total_seconds=20)) as (box, session, clinic):
        await box.fill(clinic, 4)
        monkeypatch.setattr(direct, "LOOK_SECONDS", 0.1)
        box.forget()
        assert len(await clinic.doctors.list()) == 3
        assert session.stats().pool.open == 1


async def test_a_slow_response_is_repeated_once_and_then_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks silent may be slow: it is requested again over a new connection, and from then on there is patience."""
    async with boxed("reset", QUICK, Timeouts()) as (box, _, clinic):
        await clinic.get("x")
        monkeypatch.setattr(direct, "LOOK_SECONDS", 0.05)
        box.slow_seconds = 0.6
        before = box.server.api_requests
        for _ in range(3):
            await clinic.get("slow")
        assert box.server.api_requests - before == 4


@pytest.mark.parametrize("connections", [MANY, 2])
async def test_a_slow_response_is_repeated_once_among_calls_that_are_fast(
    connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever becomes idle meanwhile, and if the pool is full: a retry has a new connection, which is waited for."""
    box = Box("reset")
    pool = PoolLimits(connections=connections, connections_per_clinic=MANY)
    async with (
        box.server as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, timeouts=Timeouts(), pool=pool) as session,
    ):
        clinic = session.clinic(server.credentials())
        await clinic.get("x")
        monkeypatch.setattr(direct, "LOOK_SECONDS", 0.05)
        box.slow_seconds = 1.5
        slow = asyncio.create_task(clinic.get("slow"))
        while server.api_requests < 2:  # it has the connection that was idle
            await asyncio.sleep(0)
        fast = 0
        while not slow.done():
            await asyncio.gather(clinic.get("fast"), clinic.get("fast"))
            fast += 2
            await asyncio.sleep(0.005)  # now there are idle ones
        assert (await slow).status == 200
        assert server.api_requests == 1 + fast + 2
        assert server.connections <= connections + 2  # tokens take one, and so does what was closed


async def test_a_request_that_must_not_be_repeated_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without retries, and for a token, which may be billed, a slow response over a reused connection is not given up."""
    monkeypatch.setattr(direct, "LOOK_SECONDS", 0.02)
    async with boxed("reset", RetryPolicy.none(), Timeouts()) as (box, session, clinic):
        await clinic.get("x")
        box.slow_seconds = 0.4
        assert (await clinic.get("slow")).status == 200
        assert box.server.api_requests == 2
    async with boxed("reset", QUICK, Timeouts()) as (box, session, clinic):
        await clinic.token()
        box.slow_seconds = 0.4
        await session.clinic(box.server.credentials("slow")).token()
        assert box.server.token_requests == 2
        assert box.server.connections == 1


async def test_a_token_request_over_a_forgotten_connection_is_retried() -> None:
    """The token's own retries get over a reset; without any it is an error."""
    async with boxed("reset", QUICK, Timeouts()) as (box, session, clinic):
        await clinic.token()
        box.forget()
        await session.clinic(box.server.credentials("Roma")).token()
    async with boxed("reset", RetryPolicy.none(), Timeouts()) as (box, session, clinic):
        await clinic.token()
        box.forget()
        with pytest.raises(TokenUnavailableError):
            await session.clinic(box.server.credentials("Roma")).token()
