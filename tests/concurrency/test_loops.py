"""One session over event loops that come and go."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading

import pytest
from support import RawServer, Request, json_answer, settle, token_answer
from support.tokens import CREDENTIALS, POLICY, Clock, Endpoint

from arzamed_async import (
    ArzamedSession,
    ConfigurationError,
    CredentialsRejectedError,
    Doctor,
    RecordStream,
    SessionClosedError,
)
from arzamed_async._concurrency.semaphore import FairSemaphore
from arzamed_async._tokens.cache import TokenCache, TokenSource


def test_a_flight_of_a_loop_that_has_stopped_is_left_behind() -> None:
    """A token request whose event loop has stopped is not awaited on the next; a token in hand survives loops."""
    clock = Clock()
    endpoint = Endpoint(clock)
    cache = TokenCache(TokenSource(endpoint, POLICY, clock, clock.wall), CREDENTIALS)
    loop = asyncio.new_event_loop()

    async def start_and_go() -> None:
        endpoint.gate = asyncio.Event()
        pending.append(asyncio.create_task(cache.get()))
        await settle()

    async def value() -> str:
        return (await cache.get()).token().access_token

    pending: list[asyncio.Task[object]] = []
    loop.run_until_complete(start_and_go())
    endpoint.gate = None
    assert asyncio.run(value()) == "token-2"
    assert asyncio.run(value()) == "token-2"
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.wait(asyncio.all_tasks(loop)))
    loop.close()


def test_a_failure_that_comes_late_on_a_loop_left_behind_is_nobodys() -> None:
    """A token request left behind by its event loop changes nothing when it fails at last: there is a newer one."""
    clock = Clock()
    endpoint = Endpoint(clock)
    cache = TokenCache(TokenSource(endpoint, POLICY, clock, clock.wall), CREDENTIALS)
    old, new = asyncio.new_event_loop(), asyncio.new_event_loop()
    gate = asyncio.Event()

    async def start_and_go() -> asyncio.Task[object]:
        endpoint.gate = gate
        return asyncio.create_task(cache.get())

    async def fail() -> None:
        gate.set()
        await asyncio.wait([left])

    left = old.run_until_complete(start_and_go())
    old.run_until_complete(settle())
    endpoint.gate = None
    held = new.run_until_complete(cache.get())
    assert cache.reject(held)
    endpoint.error = lambda: CredentialsRejectedError(status=401)
    old.run_until_complete(fail())
    assert isinstance(left.exception(), CredentialsRejectedError)
    endpoint.error = None
    assert new.run_until_complete(cache.get()).issued.access_token == "token-3"
    old.close()
    new.close()


def test_a_token_request_on_a_closed_loop_goes_without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token request that its event loop was closed over is collected, and raises nothing on the way."""
    noise: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", noise.append)
    clock = Clock()
    endpoint = Endpoint(clock)
    cache = TokenCache(TokenSource(endpoint, POLICY, clock, clock.wall), CREDENTIALS)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio itself has a word for tasks that are left

    async def start_and_go() -> None:
        endpoint.gate = asyncio.Event()
        pending.append(asyncio.create_task(cache.get()))
        await settle()

    pending: list[asyncio.Task[object]] = []
    loop.run_until_complete(start_and_go())
    loop.close()
    cache = endpoint = None  # type: ignore[assignment]
    pending.clear()
    gc.collect()
    assert [str(each) for each in noise] == []


def test_a_call_that_is_closed_in_another_context_goes_without_noise() -> None:
    """The garbage collector closes a call that waits for its token wherever it runs: nothing is raised, and no slot is held."""

    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(600)

    async def go() -> None:
        async with RawServer(hang) as server, ArzamedSession(base_url=server.base_url) as session:
            clinic = session.clinic(server.credentials())
            for call in (clinic.doctors.list(), clinic.get("equipe/doctors"), clinic.token()):
                contextvars.copy_context().run(call.send, None)  # to its first wait, that for a token
                call.close()
            assert session.stats().clinics[clinic.name].in_flight == 0

    asyncio.run(go())


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


def test_slots_of_a_loop_that_is_gone_disturb_nobody() -> None:
    """Giving a slot back after its event loop has been closed, with somebody in the queue, is no error."""
    bulkhead = FairSemaphore(1)
    loop = asyncio.new_event_loop()

    async def queue() -> None:
        bulkhead.acquire_nowait()
        waiting.append(asyncio.ensure_future(bulkhead.acquire()))
        await asyncio.sleep(0)

    waiting: list[asyncio.Future] = []
    loop.run_until_complete(queue())
    waiting[0].get_coro().close()  # type: ignore[attr-defined]
    waiting[0]._log_destroy_pending = False  # type: ignore[attr-defined] - it is meant to be left
    loop.close()
    bulkhead.release()
    assert bulkhead.taken == 0


def test_a_session_that_coalesces_works_in_two_loops() -> None:
    """Identical reads are shared in each event loop; one left behind by a loop that stopped is nobody's in the next."""
    session = ArzamedSession(coalesce=True)

    async def read(count: int, *, stop: bool) -> list[int]:
        async with RawServer() as server:
            session._engine.base_url = server.base_url
            clinic = session.clinic(CREDENTIALS if stop else server.credentials())
            tasks = [asyncio.create_task(clinic.doctors.list()) for _ in range(count)]
            if stop:
                await settle()
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                return []
            return [len(doctors) for doctors in await asyncio.gather(*tasks)]

    assert asyncio.run(read(2, stop=True)) == []
    assert asyncio.run(read(3, stop=False)) == [3, 3, 3]
    asyncio.run(session.aclose())


def test_stats_after_a_loop_that_ended_in_the_midst() -> None:
    """A session whose loop has ended with a stream open still tells its stats: nothing is open any more."""
    long = [{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(20_000)]

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else json_answer(200, long))

    async def midst() -> ArzamedSession:
        async with RawServer(handler) as server:
            session = ArzamedSession(base_url=server.base_url)
            streams.append(session.clinic(server.credentials()).doctors.stream())
            await anext(streams[0])
            return session

    streams: list[RecordStream[Doctor]] = []
    with pytest.warns(ResourceWarning, match="dropped half-way"):
        session = asyncio.run(midst())
    assert session.stats().pool.open == 0
