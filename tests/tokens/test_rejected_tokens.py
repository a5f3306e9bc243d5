"""HTTP 401: which tokens are replaced for one, and how many token requests that costs, in one process and in several."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
from support import DOCTORS, RawServer, Request, answer, json_answer, token_answer
from support.tokens import CREDENTIALS, POLICY, Clock, Endpoint

from arzamed_async import ArzamedSession, RetryPolicy, TransportError, UnauthorizedError
from arzamed_async._tokens.cache import CachedToken, TokenCache, TokenSource
from arzamed_async.testing import FakeArzamed, ManualClock, MemoryTokenStore

pytestmark = pytest.mark.asyncio


class Rejecting(RawServer):
    """Hands out t1, t2, ... and responds with 401 to tokens in `dropped`, or to any at a path in `forbidden`."""

    def __init__(self) -> None:
        super().__init__(self.respond)
        self.dropped: set[str] = set()
        self.forbidden = ""
        self.lost = 0  # so many requests get no response

    async def respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer(f"t{self.token_requests}"))
            return
        token = request.headers["authorization"].removeprefix("Bearer ")
        if token in self.dropped or "*" in self.dropped or (self.forbidden and self.forbidden in request.target):
            writer.write(answer(401))
        elif self.lost:
            self.lost -= 1
            writer.close()
        else:
            writer.write(json_answer(200, DOCTORS))

    def drop(self) -> None:
        """Drop all tokens handed out so far."""
        self.dropped |= {f"t{number}" for number in range(1, self.token_requests + 1)}


def opened(server: RawServer, clock: Clock, **options: Any) -> ArzamedSession:
    return ArzamedSession(
        base_url=server.base_url, retry=RetryPolicy.none(), clock=clock, wall_clock=clock.wall, **options
    )


async def test_a_server_that_drops_tokens_twice_within_their_life() -> None:
    """A token fetched for a 401 that has worked since is replaced as any other: no call fails at the second restart."""
    clock = ManualClock()
    async with FakeArzamed(clock=clock) as fake:
        credentials = fake.add_clinic("milano")
        async with ArzamedSession(base_url=fake.base_url, clock=clock, wall_clock=clock) as session:
            for _ in range(4):
                assert await session.clinic(credentials).doctors.list()
                clock.advance(300)
                fake.expire_tokens(credentials)
            assert await session.clinic(credentials).doctors.list()
        assert fake.token_requests(credentials) == 5


async def test_a_token_whose_first_request_was_lost_is_ordinary_after_its_second(clock: Clock) -> None:
    """The request repeated after a 401 may get no response: the next success makes the new token an ordinary one."""
    async with Rejecting() as server, opened(server, clock) as session:
        clinic = session.clinic(server.credentials())
        await clinic.doctors.list()
        server.drop()
        server.lost = 1
        with pytest.raises(TransportError):
            await clinic.doctors.list()
        await clinic.doctors.list()
        server.drop()
        await clinic.doctors.list()
        assert server.token_requests == 3


async def test_a_401_to_every_token_costs_two_token_requests_a_minute(clock: Clock) -> None:
    """On the wire: with a call each second for three minutes, no 60 s see more than two token requests."""
    counts = []
    async with Rejecting() as server, opened(server, clock) as session:
        server.dropped.add("*")
        for _ in range(180):
            with pytest.raises(UnauthorizedError, match="newly issued token"):
                await session.clinic(server.credentials()).doctors.list()
            counts.append(server.token_requests)
            clock.advance(1)
    assert max(counts[at + 59] - (counts[at - 1] if at else 0) for at in range(121)) == 2
    assert 4 <= counts[-1] <= 6


async def test_a_401_to_one_path_costs_two_token_requests_a_minute(clock: Clock) -> None:
    """A path that always responds with 401 beside one that works does not buy a token for each call."""
    counts = []
    async with Rejecting() as server, opened(server, clock) as session:
        server.forbidden = "rooms"
        clinic = session.clinic(server.credentials())
        for _ in range(180):
            both = await asyncio.gather(clinic.get("equipe/rooms"), clinic.doctors.list(), return_exceptions=True)
            assert isinstance(both[0], UnauthorizedError)
            assert isinstance(both[1], list)
            counts.append(server.token_requests)
            clock.advance(1)
    replaced = [count - 1 for count in counts]  # the first was no replacement
    assert max(replaced[at + 59] - (replaced[at - 1] if at else 0) for at in range(121)) <= 2


async def test_tokens_accepted_and_dropped_again_and_again_are_replaced_twice_a_minute(clock: Clock) -> None:
    """A server that accepts each token once costs two a minute; the error then does not blame a new token."""
    async with Rejecting() as server, opened(server, clock) as session:
        clinic = session.clinic(server.credentials())
        errors = []
        for _ in range(120):
            try:
                await clinic.doctors.list()
            except UnauthorizedError as error:
                errors.append(error)
            server.drop()
            clock.advance(1)
        assert server.token_requests <= 1 + 2 * 2
    for error in (errors[0], pickle.loads(pickle.dumps(errors[0]))):
        assert "accepted this token before" in str(error)
        assert "newly issued" not in str(error)


async def test_the_cache_replaces_two_tokens_within_rejected_seconds_and_then_the_next(clock: Clock) -> None:
    """Each third replacement waits until the first is rejected_seconds ago: a window that slides."""
    endpoint = Endpoint(clock)
    cache = TokenCache(TokenSource(endpoint, POLICY, clock, clock.wall), CREDENTIALS)

    async def dropped() -> bool:
        held: CachedToken = await cache.get()
        held.accept()
        return cache.reject(held)

    assert await dropped()
    clock.advance(20)
    assert await dropped()
    for _ in range(8):
        clock.advance(4.9)
        assert not await dropped()
    clock.advance(0.9)
    assert await dropped()
    clock.advance(19)
    assert not await dropped()
    clock.advance(1)
    assert await dropped()


# Several processes, with a token store.


async def test_processes_that_start_while_every_token_gets_a_401(clock: Clock) -> None:
    """Short-lived processes find a record of the replacement in the store: all together make two token requests a minute."""
    store = MemoryTokenStore(clock=clock, wall_clock=clock.wall)
    counts = []
    async with Rejecting() as server:
        server.dropped.add("*")
        for _ in range(24):
            async with opened(server, clock, token_store=store) as session:
                with pytest.raises(UnauthorizedError):
                    await session.clinic(server.credentials()).doctors.list()
            counts.append(server.token_requests)
            clock.advance(7.5)
    assert max(counts[at + 7] - (counts[at - 1] if at else 0) for at in range(16)) == 2
    assert counts[-1] <= 2 + 3


async def test_long_lived_processes_share_the_replacement_and_the_limit(clock: Clock) -> None:
    """Four sessions whose tokens all get a 401 make two token requests together, and go on for a minute without one."""
    store = MemoryTokenStore(clock=clock, wall_clock=clock.wall)
    async with Rejecting() as server:
        server.dropped.add("*")
        sessions = [opened(server, clock, token_store=store) for _ in range(4)]
        for _ in range(8):
            calls = (session.clinic(server.credentials()).doctors.list() for session in sessions)
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {UnauthorizedError}
            clock.advance(7)
        for session in sessions:
            await session.aclose()
        assert server.token_requests == 2


async def test_a_second_drop_within_the_minute_is_survived_with_a_store_too(clock: Clock) -> None:
    """A token that a process has used well is replaced although another was replaced just before; a third is not."""
    store = MemoryTokenStore(clock=clock, wall_clock=clock.wall)
    async with Rejecting() as server, opened(server, clock, token_store=store) as session:
        clinic = session.clinic(server.credentials())
        for _ in range(3):
            assert len(await clinic.doctors.list()) == 3
            server.drop()
            clock.advance(10)
        with pytest.raises(UnauthorizedError):
            await clinic.doctors.list()
        assert server.token_requests == 3
        clock.advance(41)
        assert len(await clinic.doctors.list()) == 3
