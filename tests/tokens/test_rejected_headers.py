"""HTTP 400 and 431 because of a token's header: which tokens are replaced for one, and how many token requests that costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support import DOCTORS, RawServer, Request, answer, json_answer, token_answer
from support.tokens import Clock
from test_rejected_tokens import opened

from arzamed_async import StatusError, StoredToken
from arzamed_async._tokens.shared import store_key
from arzamed_async.testing import MemoryTokenStore

pytestmark = pytest.mark.asyncio

PLANTED = "p" * 8192


class Narrow(RawServer):
    """Hands out t1, t2, ... and responds with `status` to tokens over 4 KiB, or to all at a path in `forbidden`."""

    def __init__(self, status: int) -> None:
        super().__init__(self.respond)
        self.status = status
        self.forbidden = ""
        self.prefix = "t"

    async def respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer(f"{self.prefix}{self.token_requests}"))
        elif len(request.headers["authorization"]) > 4096 or (self.forbidden and self.forbidden in request.target):
            writer.write(answer(self.status))
        else:
            writer.write(json_answer(200, DOCTORS))


async def planted(server: RawServer, clock: Clock, text: str = PLANTED) -> MemoryTokenStore:
    store = MemoryTokenStore(clock=clock, wall_clock=clock.wall)
    await store.save(store_key(server.credentials()), StoredToken(text, 0.0, 80_000.0), None)
    return store


@pytest.mark.parametrize("status", [400, 431])
async def test_a_planted_token_that_is_too_long_for_the_api_is_replaced(clock: Clock, status: int) -> None:
    """The call succeeds with a new token, which takes the planted one's place in the store for all."""
    async with Narrow(status) as server:
        store = await planted(server, clock)
        for _ in range(2):
            async with opened(server, clock, token_store=store) as session:
                assert len(await session.clinic(server.credentials()).doctors.list()) == 3
        kept = await store.load(store_key(server.credentials()))
        assert isinstance(kept, StoredToken)
        assert kept.access_token == "t1"
        assert server.token_requests == 1


@pytest.mark.parametrize("status", [400, 431])
async def test_a_second_rejection_reaches_the_caller_and_no_token_is_replaced_again(clock: Clock, status: int) -> None:
    """Where the new token's header is rejected as well, the error is raised, and that was the last token for this cause."""
    async with Narrow(status) as server:
        server.forbidden = "doctors"
        async with opened(server, clock, token_store=await planted(server, clock)) as session:
            for _ in range(20):
                with pytest.raises(StatusError) as caught:
                    await session.clinic(server.credentials()).doctors.list()
                assert caught.value.status == status
                clock.advance(100)
        assert server.token_requests == 1


async def test_a_400_for_another_reason_costs_short_lived_processes_one_token_an_hour(clock: Clock) -> None:
    """Processes whose first request is always wrong replace the shared token once an hour, and not once each."""
    async with Narrow(400) as server:
        server.forbidden = "rooms"
        store = MemoryTokenStore(clock=clock, wall_clock=clock.wall)
        for _ in range(30):
            async with opened(server, clock, token_store=store) as session:
                with pytest.raises(StatusError):
                    await session.clinic(server.credentials()).get("equipe/rooms")
            clock.advance(60)
        assert server.token_requests == 2


async def test_a_400_costs_nothing_where_the_token_is_known_to_be_good(clock: Clock) -> None:
    """A token that the API has accepted, or that this process has requested itself, is not replaced for a 400."""
    async with Narrow(400) as server:
        server.forbidden = "rooms"
        store = await planted(server, clock, "accepted")
        async with opened(server, clock, token_store=store) as session, opened(server, clock) as alone:
            clinic = session.clinic(server.credentials())
            await clinic.doctors.list()
            for each in (clinic, alone.clinic(server.credentials())):
                for _ in range(5):
                    with pytest.raises(StatusError):
                        await each.get("equipe/rooms")
        assert server.token_requests == 1  # that of the session without a store


async def test_a_token_of_the_endpoint_is_replaced_once_for_a_431(clock: Clock) -> None:
    """Without a store too: one replacement for each token that expires, however often the API responds with 431."""
    async with Narrow(431) as server:
        server.prefix = "t" * 5000
        async with opened(server, clock) as session:
            for _ in range(20):
                with pytest.raises(StatusError):
                    await session.clinic(server.credentials()).doctors.list()
                clock.advance(100)
        assert server.token_requests == 2


async def test_callers_at_once_share_one_replacement(clock: Clock) -> None:
    """Of many calls that get a 400 to the same planted token, one replaces it and all succeed."""
    async with Narrow(400) as server:
        async with opened(server, clock, token_store=await planted(server, clock)) as session:
            calls: list[Any] = [session.clinic(server.credentials()).doctors.list() for _ in range(16)]
            assert all(len(doctors) == 3 for doctors in await asyncio.gather(*calls))
        assert server.token_requests == 1


async def test_a_token_planted_again_is_replaced_an_hour_later(clock: Clock) -> None:
    """A process that has to keep a planted token, since one was replaced just before, replaces it after an hour."""
    async with Narrow(400) as server:
        store = await planted(server, clock)
        async with opened(server, clock, token_store=store) as session:
            await session.clinic(server.credentials()).doctors.list()
        await store.discard(store_key(server.credentials()), "t1")
        await store.save(store_key(server.credentials()), StoredToken(PLANTED, 0.0, 80_000.0), None)
        async with opened(server, clock, token_store=store) as session:
            clinic = session.clinic(server.credentials())
            with pytest.raises(StatusError):
                await clinic.doctors.list()
            clock.advance(3601)
            assert len(await clinic.doctors.list()) == 3
        assert server.token_requests == 2
