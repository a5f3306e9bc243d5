"""What a session bears from its token store: a crowd before it, slow and late answers, failures half way."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from support import settle
from test_shared import Numbered, close, sessions, until

from arzamed_async import Event, Lease, StoredToken, TokenStoreFailed
from arzamed_async._tokens import guarded_store as door
from arzamed_async._tokens import shared
from arzamed_async.testing import MemoryTokenStore

pytestmark = pytest.mark.asyncio


class Wrapped(MemoryTokenStore):
    """Calls `before` with the name of each of its methods, and waits for that."""

    def __init__(self, before: Any) -> None:
        super().__init__()
        self._before = before

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("load", "save", "discard", "acquire", "renew", "release"):
            return found

        async def call(*arguments: Any) -> Any:
            await self._before(name)
            return await found(*arguments)

        return call


def store_failures(events: list[Event]) -> list[str]:
    return [event.error for event in events if isinstance(event, TokenStoreFailed)]


async def test_a_crowd_of_clinics_does_not_make_a_store_slow() -> None:
    """Of a session few calls are in the store at once; what waits before it is not the store's failure."""
    under_way = most = 0

    async def before(_name: str) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await settle()
        under_way -= 1

    events: list[Event] = []
    async with Numbered() as server:
        (session,) = sessions(server, Wrapped(before), 1, observers=[events.append])
        await asyncio.gather(*(session.clinic(server.credentials(f"c{n}")).token() for n in range(50)))
        await session.aclose()
    assert most <= door.AT_ONCE
    assert store_failures(events) == []


async def test_what_is_kept_late_is_kept_behind_the_callers_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller waits no longer than the budget for its token to be kept: that goes on, and the lease is given back."""
    monkeypatch.setattr(door, "ANSWER_SECONDS", 20)
    gate = asyncio.Event()

    async def before(name: str) -> None:
        monkeypatch.setattr(door, "BUDGET_SECONDS", 20)  # of what goes on; the caller's own was set before
        if name == "save":
            await gate.wait()

    store = Wrapped(before)
    async with Numbered() as server:
        (session,) = sessions(server, store, 1)
        key = shared.store_key(server.credentials())
        assert (await session.clinic(server.credentials()).token()).access_token == "t1"
        assert await store.load(key) is None
        gate.set()
        await session.aclose()
        kept = await store.load(key)
        assert isinstance(kept, StoredToken)
        assert kept.access_token == "t1"
        assert await store.acquire(key, 10) is not None


async def test_an_answer_that_came_while_the_loop_was_busy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that has answered in time is not called slow because the event loop had no time to see it."""
    monkeypatch.setattr(door, "ANSWER_SECONDS", 0.02)
    busy = True

    async def before(_name: str) -> None:
        nonlocal busy
        if busy:
            busy = False
            loop = asyncio.get_running_loop()
            answered = loop.create_future()
            loop.call_later(0.01, answered.set_result, None)
            loop.call_soon(time.sleep, 0.05)
            await answered
            monkeypatch.undo()

    events: list[Event] = []
    async with Numbered() as server:
        (session,) = sessions(server, Wrapped(before), 1, observers=[events.append])
        await session.clinic(server.credentials()).token()
        await session.aclose()
    assert store_failures(events) == []


async def test_the_time_of_a_loop_that_stood_still_is_not_the_stores() -> None:
    """A loop that stands still for longer than a store may take leaves the store the rest of its time."""
    stood = False

    async def before(_name: str) -> None:
        nonlocal stood
        if not stood:
            stood = True
            asyncio.get_running_loop().call_soon(time.sleep, door.ANSWER_SECONDS + 0.1)
            await asyncio.sleep(0)
            for _ in range(4 * door.TURNS):  # it has still to do what takes it many turns
                await asyncio.sleep(0)

    events: list[Event] = []
    async with Numbered() as server:
        (session,) = sessions(server, Wrapped(before), 1, observers=[events.append])
        await session.clinic(server.credentials()).token()
        await session.aclose()
    assert store_failures(events) == []


async def test_a_single_late_answer_does_not_close_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call that takes too long costs that token alone; the store is left alone when several in succession do."""
    monkeypatch.setattr(door, "ANSWER_SECONDS", 0.02)
    asked = 0
    hangs = {1}

    async def before(_name: str) -> None:
        nonlocal asked
        asked += 1
        if asked in hangs:
            await asyncio.Event().wait()
        monkeypatch.setattr(door, "ANSWER_SECONDS", 20)

    store = Wrapped(before)
    async with Numbered() as server:
        (session,) = sessions(server, store, 1)
        for name in ("late", "well"):
            await session.clinic(server.credentials(name)).token()
        assert isinstance(await store.load(shared.store_key(server.credentials("well"))), StoredToken)
        hangs.update(range(1000))
        monkeypatch.setattr(door, "ANSWER_SECONDS", 0.02)
        asked = 0
        for n in range(2 * door.LATE_IN_SUCCESSION):
            await session.clinic(server.credentials(f"c{n}")).token()
        assert asked == door.LATE_IN_SUCCESSION
        await session.aclose()


async def test_a_store_without_room_costs_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that can be read and gives no lease (it is full, or a replica) is told of once, however often it is tried."""
    monkeypatch.setattr(door, "REST_SECONDS", 0.0)

    async def before(name: str) -> None:
        if name == "acquire":
            raise MemoryError

    events: list[Event] = []
    async with Numbered() as server:
        (session,) = sessions(server, Wrapped(before), 1, observers=[events.append])
        for n in range(3):
            await session.clinic(server.credentials(f"c{n}")).token()
        await session.aclose()
    assert store_failures(events) == ["MemoryError"]


async def test_a_lease_is_used_though_the_second_look_fails() -> None:
    """Who has got the lease asks under it, and keeps what comes, also where the look behind it has failed."""
    looks = 0

    async def before(name: str) -> None:
        nonlocal looks
        looks += name == "load"
        if name == "load" and looks == 2:
            raise OSError

    store = Wrapped(before)
    async with Numbered() as server:
        (session,) = sessions(server, store, 1)
        await session.clinic(server.credentials()).token()
        await session.aclose()
        assert isinstance(await store.load(shared.store_key(server.credentials())), StoredToken)


async def test_a_holder_that_has_to_wait_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the holder says that it is there (a token endpoint may ask it to wait), nobody else asks, for many a lease."""
    monkeypatch.setattr(shared, "LEASE_SECONDS", 0.03)
    monkeypatch.setattr(shared, "LOOK_AGAIN_SECONDS", (0.005, 0.01))
    monkeypatch.setattr(shared, "LOOK_AGAIN_MOST_SECONDS", 0.01)
    monkeypatch.setattr(door, "ANSWER_SECONDS", 20.0)  # a machine that is busy makes no store an outage
    monkeypatch.setattr(door, "BUDGET_SECONDS", 20.0)
    renewals = asked = 0

    class Held(MemoryTokenStore):
        async def acquire(self, key: str, _seconds: float, /) -> Lease | None:
            nonlocal asked
            asked += 1
            return await super().acquire(key, 1000)

        async def renew(self, lease: Lease, seconds: float, /) -> bool:
            nonlocal renewals
            renewals += 1
            return await super().renew(lease, 1000)

    async with Numbered() as server:
        server.gate = asyncio.Event()
        opened = sessions(server, Held(), 2)
        calls = [asyncio.create_task(session.clinic(server.credentials()).token()) for session in opened]
        await until(lambda: asked > 5 and renewals > 9 and server.token_requests > 0)
        assert server.token_requests == 1
        server.gate.set()
        assert {token.access_token for token in await asyncio.gather(*calls)} == {"t1"}
        await close(*opened)
    assert server.token_requests == 1


async def test_an_outage_is_reported_again_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is off is one warning, and another one five minutes later if it is still off; a later outage is new."""
    caplog.set_level("WARNING", "arzamed_async")
    monkeypatch.setattr(door, "REST_SECONDS", 0.0)
    down = True

    async def before(_name: str) -> None:
        if down:
            raise ConnectionError

    async def warnings_after(requests: int) -> int:
        for _ in range(requests):
            session.forget(credentials)
            await session.clinic(credentials).token()
        return sum("token store failed (ConnectionError)" in each.getMessage() for each in caplog.records)

    async with Numbered() as server:
        (session,) = sessions(server, Wrapped(before), 1)
        credentials = server.credentials()
        assert await warnings_after(3) == 1
        monkeypatch.setattr(door, "REPORT_SECONDS", 0.0)
        down = False
        assert await warnings_after(1) == 1
        down = True
        assert await warnings_after(1) >= 2  # the period has passed: each failure is reported
        monkeypatch.setattr(door, "REPORT_SECONDS", 1e9)
        caplog.clear()
        assert await warnings_after(3) == 1
        await session.aclose()
    assert door.REPORT_SECONDS == 1e9


async def test_a_store_that_only_loads_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be written, tokens that can still be loaded do not make each failure a new outage."""
    monkeypatch.setattr(door, "REST_SECONDS", 0.0)
    refuses = False

    async def before(name: str) -> None:
        if refuses and name != "load":
            raise ConnectionError

    events: list[Event] = []
    async with Numbered() as server:
        (session,) = sessions(server, Wrapped(before), 1, observers=[events.append])
        kept = server.credentials("kept")

        async def read(name: str) -> None:
            session.forget(kept)
            await session.clinic(kept).token()  # loaded
            await session.clinic(server.credentials(name)).token()

        await session.clinic(kept).token()
        refuses = True
        for n in range(3):
            await read(f"new{n}")
        assert store_failures(events) == ["ConnectionError"]
        refuses = False
        await read("written")
        refuses = True
        await read("later")
        assert store_failures(events) == ["ConnectionError"] * 2
        await session.aclose()
