"""One session over event loops that come and go."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support import RawServer, settle
from test_tokens import CREDENTIALS, POLICY, Clock, Endpoint

from arzamed_async import ArzamedSession, ConfigurationError, SessionClosedError
from arzamed_async._tokens import TokenCache, TokenSource


def test_a_flight_of_a_loop_that_has_stopped_is_left_behind() -> None:
    """A token request whose event loop has stopped is not awaited on the next; a token in hand survives loops."""
    clock = Clock()
    endpoint = Endpoint(clock)
    cache = TokenCache(TokenSource(endpoint, POLICY, clock), CREDENTIALS)
    loop = asyncio.new_event_loop()

    async def start_and_go() -> None:
        endpoint.gate = asyncio.Event()
        pending.append(asyncio.create_task(cache.get()))
        await settle()

    async def value() -> str:
        return (await cache.get()).token.access_token

    pending: list[asyncio.Task[object]] = []
    loop.run_until_complete(start_and_go())
    endpoint.gate = None
    assert asyncio.run(value()) == "token-2"
    assert asyncio.run(value()) == "token-2"
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.wait(asyncio.all_tasks(loop)))
    loop.close()


def test_two_loops_one_after_the_other() -> None:
    """A session built outside any loop works in two loops in turn: one token, a pool for each, and none left open."""
    tokens = []
    session: list[ArzamedSession] = []

    async def use(last: bool) -> None:
        async with RawServer() as server:
            if not session:
                session.append(ArzamedSession(base_url=server.base_url))
                credentials.append(server.credentials())
            session[0]._engine.base_url = server.base_url
            clinic = session[0].clinic(credentials[0])
            assert len(await clinic.doctors.list()) == 3
            tokens.append(server.token_requests)
            if last:
                await session[0].aclose()

    credentials: list = []
    asyncio.run(use(False))
    asyncio.run(use(True))
    assert tokens == [1, 0]


def test_closing_on_a_later_loop_never_waits_for_the_first() -> None:
    """Aclose on a new loop leaves what belongs to the old one alone, and returns."""

    async def leave_running() -> ArzamedSession:
        session = ArzamedSession(base_url="http://127.0.0.1:9/api/v1")
        async with RawServer() as server:
            await session.clinic(server.credentials()).token()
        return session

    session = asyncio.run(leave_running())
    asyncio.run(session.aclose())
    with pytest.raises(SessionClosedError):
        asyncio.run(session.__aenter__())


def test_two_running_loops_are_a_configuration_error() -> None:
    """Using one session from two loops that run at once is a ConfigurationError, never a hang."""
    errors = []

    async def other(session: ArzamedSession) -> None:
        for use in (session.__aenter__, session.aclose):
            with pytest.raises(ConfigurationError) as caught:
                await use()
            errors.append(str(caught.value))

    async def main() -> None:
        async with ArzamedSession(base_url="http://127.0.0.1:9/api/v1") as session:
            thread = threading.Thread(target=lambda: asyncio.run(other(session)))
            thread.start()
            await asyncio.to_thread(thread.join)

    asyncio.run(main())
    assert len(errors) == 2
    assert "event loop" in errors[0]
