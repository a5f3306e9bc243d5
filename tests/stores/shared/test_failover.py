"""Redis servers that take each other's place while sessions read: no call fails, and tokens are shared again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from failover_servers import MASTER, ClusterServers, Pair, SentinelServers, StableName, ask
from redis.asyncio import RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from arzamed_async import ArzamedSession, ClinicCredentials, ConfigurationError, Event, TokenStoreFailed
from arzamed_async._tokens import guarded_store as door
from arzamed_async.stores import RedisTokenStore
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio

CLINICS = 8
#: What a session promises is 5 s; of the 12 s until tokens are shared again, there is time for one more.
REST_SECONDS = 0.3
BOUND_SECONDS = 60.0
KINDS: dict[str, Callable[..., Pair]] = {"name": Pair, "sentinel": SentinelServers, "cluster": ClusterServers}


def demote(servers: Pair) -> None:
    """Let the replica be the primary of its primary, which goes on with its connections, as an operator does."""
    ask(servers.replica, "REPLICAOF", "NO", "ONE")
    ask(servers.primary, "REPLICAOF", "127.0.0.1", servers.replica.port)


def lose(servers: Pair) -> None:
    """Let the primary end."""
    servers.primary.kill()
    replace(servers)


def lose_power(servers: Pair) -> None:
    """Let the primary stand still, with all its connections."""
    servers.primary.pause()
    replace(servers)


def replace(servers: Pair) -> None:
    """Do what Sentinel and Cluster do by themselves."""
    if type(servers) is Pair:
        ask(servers.replica, "REPLICAOF", "NO", "ONE")


@define
class Readers:
    """Two sessions, as two processes would have them, that read new clinics with a token each."""

    fake: FakeArzamed
    sessions: list[ArzamedSession]
    clinics: int = 0

    async def shared(self) -> bool:
        """Read new clinics with one session and then with the other; return whether the tokens were requested once."""
        new: list[ClinicCredentials] = []
        for _ in range(CLINICS):
            new.append(self.fake.add_clinic(f"c{self.clinics}", doctors=["Dr. Inventata"]))
            self.clinics += 1
        before = self.fake.token_requests()
        for session in self.sessions:
            outcomes = await session.gather(new, lambda clinic: clinic.doctors.list())
            assert [len(each.unwrap()) for each in outcomes] == [1] * CLINICS
        return self.fake.token_requests() - before == CLINICS


@define
class Rests:
    """When a session stops calling its store for a while, and after which error."""

    began: list[tuple[float, str]] = field(factory=list)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        record = door.GuardedStore._record_failure

        def recorded(guarded: Any, budget: Any, error: type[Exception], *, rests: bool) -> None:
            before = guarded._rests_until
            record(guarded, budget, error, rests=rests)
            now = time.monotonic()
            if guarded._rests_until > before and before <= asyncio.get_running_loop().time():
                self.began.append((now, error.__name__))

        monkeypatch.setattr(door.GuardedStore, "_record_failure", recorded)

    def after(self, moment: float) -> list[str]:
        """Return the errors after which a rest began; timeouts are left out: they depend on the machine."""
        return [error for began, error in self.began if began > moment and error != "TimeoutError"]


@asynccontextmanager
async def client_of(servers: Pair) -> AsyncIterator[Any]:
    """Give a client as an application would have it, for the servers of Sentinel or Cluster."""
    if isinstance(servers, SentinelServers):
        retry = Retry(NoBackoff(), 1)
        options = {"password": servers.sentinel_password or None, "retry": retry}
        sentinel = Sentinel(servers.places, sentinel_kwargs=options)
        clients = [sentinel.master_for(MASTER, password=servers.password or None, retry=retry), *sentinel.sentinels]
    else:
        assert isinstance(servers, ClusterServers)
        nodes = [ClusterNode("127.0.0.1", each.port) for each in servers.all]
        clients = [RedisCluster(startup_nodes=nodes, socket_timeout=0.5)]
    yield clients[0]
    for client in clients:
        await client.aclose()


@asynccontextmanager
async def readers(servers: Pair, name: StableName | None, observer: Callable[[Event], None]) -> AsyncIterator[Readers]:
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(FakeArzamed())
        sessions: list[ArzamedSession] = []
        for _ in range(2):
            client = None if name else await stack.enter_async_context(client_of(servers))
            store = RedisTokenStore(client or f"redis://127.0.0.1:{name and name.port}")
            stack.push_async_callback(store.aclose)
            session = ArzamedSession(base_url=fake.base_url, token_store=store, observers=[observer])
            sessions.append(await stack.enter_async_context(session))
        yield Readers(fake, sessions)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("name", demote), ("name", lose), ("name", lose_power), ("sentinel", lose), ("sentinel", lose_power),
        ("cluster", lose), ("cluster", lose_power),
    ],
)  # fmt: skip
async def test_a_failover_fails_no_call(
    tmp_path: Path, kind: str, change: Callable[[Pair], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every read succeeds while a primary is replaced; tokens are shared again after one more rest at most."""
    monkeypatch.setattr(door, "REST_SECONDS", REST_SECONDS)
    rests, events = Rests(), list[Event]()
    rests.watch(monkeypatch)
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(KINDS[kind](tmp_path))
        name = await stack.enter_async_context(StableName(servers.primary)) if kind == "name" else None
        reading = await stack.enter_async_context(readers(servers, name, events.append))
        await until_shared(reading)
        await asyncio.to_thread(change, servers)
        if name is not None:
            name.leads_to = servers.replica.port
        while not await asyncio.to_thread(servers.is_over):
            await reading.shared()
        over = time.monotonic()
        await until_shared(reading)
        assert len(rests.after(over)) <= len(reading.sessions)
        assert await asyncio.to_thread(servers.replica.client.dbsize)
        if change is demote:
            assert not [each for each in events if isinstance(each, TokenStoreFailed) and each.error == "ReadOnlyError"]


async def until_shared(reading: Readers) -> None:
    """Read until the tokens of two rounds in succession were shared: load, and no end of it in sight."""
    async with asyncio.timeout(BOUND_SECONDS):
        shared = 0
        while shared < 2:
            shared = shared + 1 if await reading.shared() else 0


async def test_sentinels_with_a_password(tmp_path: Path) -> None:
    """Sentinels may have a password of their own, and their servers another one."""
    with SentinelServers(tmp_path, password="invented-one", sentinel_password="invented-two") as servers:
        async with client_of(servers) as client:
            store = RedisTokenStore(client)
            lease = await store.acquire("a" * 64, 10)
            assert lease is not None
            await store.release(lease)
            await store.aclose()
        servers.sentinel_password = "invented-wrong"
        async with client_of(servers) as client:
            with pytest.raises(ConfigurationError, match="a sentinel: Redis does not accept the login"):
                await RedisTokenStore(client).load("a" * 64)
