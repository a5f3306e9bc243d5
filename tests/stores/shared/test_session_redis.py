"""Sessions with a Redis that is down, dies, stands still, is full or flushed: no call fails for that."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import frozen
from redis_server import RedisServer

from arzamed_async import ArzamedSession, Event, RetryPolicy, TokenRequestFinished, TokenStoreFailed
from arzamed_async._tokens import guarded_store as door
from arzamed_async.stores import RedisTokenStore
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio

CLINICS = 10


@frozen
class Partner:
    """Two sessions as two processes would have them, with a store each, and what they were told."""

    fake: FakeArzamed
    sessions: list[ArzamedSession]
    events: list[list[Event]]

    async def read_all(self) -> None:
        """Read every clinic with every session that has no tokens of its own, and so fail if one read fails."""
        clinics = [f"c{n}" for n in range(CLINICS)]
        for session in self.sessions:
            credentials = [self.fake._handler.clinics.find(name).credentials for name in clinics]
            for each in credentials:
                session.forget(each)
            outcomes = await session.gather(credentials, lambda clinic: clinic.doctors.list())
            assert [len(outcome.unwrap()) for outcome in outcomes] == [1] * CLINICS

    def warnings(self) -> list[int]:
        """Return how often each session has told that the store has failed."""
        return [sum(isinstance(event, TokenStoreFailed) for event in told) for told in self.events]

    def asked(self) -> list[int]:
        """Return how many token requests each session has made."""
        return [sum(isinstance(event, TokenRequestFinished) for event in told) for told in self.events]


@asynccontextmanager
async def partner(url: str, *, sessions: int = 2) -> AsyncIterator[Partner]:
    """Give sessions that share the Redis at `url`; tokens live for an hour."""
    async with FakeArzamed() as fake:
        for n in range(CLINICS):
            fake.add_clinic(f"c{n}", doctors=["Dr. Inventata"])
        events: list[list[Event]] = [[] for _ in range(sessions)]
        stores = [RedisTokenStore(url) for _ in range(sessions)]
        opened = [
            ArzamedSession(
                base_url=fake.base_url,
                token_store=store,
                retry=RetryPolicy(initial_backoff_seconds=0.001, max_backoff_seconds=0.01),
                observers=[told.append],
            )
            for store, told in zip(stores, events, strict=True)
        ]
        try:
            yield Partner(fake, opened, events)
        finally:
            for session, store in zip(opened, stores, strict=True):
                await session.aclose()
                await store.aclose()


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a session ask a store that has failed again at once: an outage ends with the test's word, not with time."""
    monkeypatch.setattr(door, "REST_SECONDS", 0.0)


def fill(server: RedisServer) -> None:
    server.client.flushall()
    server.client.config_set("maxmemory-policy", "noeviction")
    server.client.config_set("maxmemory", 1)


def make_room(server: RedisServer) -> None:
    server.client.config_set("maxmemory", 0)


OUTAGES: dict[str, tuple[Callable[[RedisServer], object], Callable[[RedisServer], object]]] = {
    "killed": (RedisServer.kill, RedisServer.start),
    "paused": (RedisServer.pause, RedisServer.go_on),
    "full": (fill, make_room),
}


@pytest.mark.parametrize("outage", OUTAGES)
async def test_an_outage_midway_fails_no_call(server: RedisServer, outage: str) -> None:
    """While Redis is out every read succeeds with local tokens, and each session says so once; afterwards they share again."""
    begin, end = OUTAGES[outage]
    async with partner(server.plain_url) as with_redis:
        await with_redis.read_all()
        begin(server)
        try:
            for _ in range(2):
                await with_redis.read_all()
        finally:
            end(server)
        assert with_redis.warnings() == [1, 1]
        assert with_redis.asked() == [3 * CLINICS, 2 * CLINICS]
        async with asyncio.timeout(100):
            while True:  # the first round finds out, on a connection that is gone perhaps, that Redis is back
                before = with_redis.fake.token_requests()
                await with_redis.read_all()
                if with_redis.fake.token_requests() == before:
                    break


async def test_a_redis_that_is_down_from_the_start(tmp_path: Path) -> None:
    """Sessions that never see their Redis read all the same, with one warning each."""
    with RedisServer(tmp_path) as server:
        url = server.plain_url
    async with partner(url) as without:
        await without.read_all()
        await without.read_all()
        assert without.warnings() == [1, 1]
        assert without.asked() == [2 * CLINICS] * 2


async def test_a_flush_costs_no_warning(server: RedisServer) -> None:
    """A Redis that has forgotten all is one without tokens: one session asks for them again, and the other has them."""
    async with partner(server.plain_url) as with_redis:
        await with_redis.read_all()
        assert with_redis.asked() == [CLINICS, 0]
        server.client.flushall()
        await with_redis.read_all()
        assert with_redis.warnings() == [0, 0]
        assert with_redis.asked() == [2 * CLINICS, 0]


async def test_reads_while_redis_comes_and_goes(server: RedisServer) -> None:
    """Reads that go on while Redis is killed, started, paused and let go on never fail."""
    async with partner(server.plain_url, sessions=1) as with_redis:
        over = asyncio.Event()
        rounds: collections.Counter[str] = collections.Counter()

        async def read() -> None:
            while not over.is_set():
                await with_redis.read_all()
                rounds["read"] += 1

        async def a_round() -> None:
            seen = rounds["read"]
            async with asyncio.timeout(100):
                while rounds["read"] < seen + 2 and not reading.done():
                    await asyncio.sleep(0.01)

        reading = asyncio.ensure_future(read())
        for change in (RedisServer.kill, RedisServer.start, RedisServer.pause, RedisServer.go_on) * 2:
            await asyncio.to_thread(change, server)
            await a_round()
        over.set()
        await reading
