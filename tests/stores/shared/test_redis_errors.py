"""What RedisTokenStore does when a server refuses a script: new connections, one more attempt, or words on what to do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis
from failover_servers import Pair, Port, StableName, ask
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis_server import RedisServer

from arzamed_async import ArzamedSession, ConfigurationError, SecretFromEnv, StoredToken
from arzamed_async._tokens import guarded_store as door
from arzamed_async.stores import RedisTokenStore
from arzamed_async.stores import _redis_client as clients
from arzamed_async.stores._redis_from_url import _LEAST_CONNECTIONS
from arzamed_async.testing import FakeArzamed

KEY = "a" * 64
PASSWORD = "invented-password-77ab"
#: Each refusal, and whether the script is sent again at once.
REFUSALS = [
    ("READONLY You can't write against a read only replica.", True),
    ("ERR Error running script (call to f_0): @user_script:5: -READONLY You can't write against a replica.", True),
    ("LOADING Redis is loading the dataset in memory", True),
    ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", True),
    ("CLUSTERDOWN The cluster is down", True),
    ("TRYAGAIN Multiple keys request during rehashing of slot", True),
    ("NOREPLICAS Not enough good replicas to write.", True),
    ("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", True),
    ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", False),
    ("OOM command not allowed when used memory > 'maxmemory'.", False),
    ("ERR unknown command 'EVAL'", False),
    ("BUSY Redis is busy running a script.", False),
]
MISTAKES = [
    ("NOAUTH Authentication required.", "check user and password"),
    ("WRONGPASS invalid username-password pair or user is disabled.", "check user and password"),
    ("NOPERM this user has no permissions to run the 'eval' command", "lacks a permission"),
    ("MOVED 3999 127.0.0.1:6381", "is a Cluster"),
    ("ASK 3999 127.0.0.1:6381", "is a Cluster"),
    ("CROSSSLOT Keys in request don't hash to the same slot", "is a Cluster"),
]


class Refusing(Port):
    """A server of Redis' protocol that refuses scripts with an error, if it has one, and returns nil to them otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.error = ""
        self.scripts = 0
        self.ran: set[int] = set()  # the connections, by number, over which a script came

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reply to its commands."""
        number = self.connections
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                writer.write(self._reply(words, number))

    def _reply(self, words: list[bytes], number: int) -> bytes:
        if words[0].upper() != b"EVAL":
            return b"+OK\r\n"
        self.ran.add(number)
        self.scripts += 1
        if self.error:
            return f"-{self.error}\r\n".encode()
        return b"*2\r\n$%d\r\n%b\r\n$-1\r\n" % (len(words[-1]), words[-1])


@pytest_asyncio.fixture
async def refusing() -> AsyncIterator[Refusing]:
    async with Refusing() as server:
        yield server


@contextlib.asynccontextmanager
async def store_at(port: int, kind: str) -> AsyncIterator[RedisTokenStore]:
    client = None if kind == "url" else Redis(host="127.0.0.1", port=port, protocol=2, retry=Retry(NoBackoff(), 0))
    store = RedisTokenStore(client or f"redis://127.0.0.1:{port}?socket_timeout=60&socket_connect_timeout=60")
    yield store
    await store.aclose()
    if client is not None:
        await client.aclose()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["url", "client"])
@pytest.mark.parametrize(("error", "again"), REFUSALS, ids=[error[:12] for error, _ in REFUSALS])
async def test_a_refusal_drops_the_connections(refusing: Refusing, error: str, again: bool, kind: str) -> None:
    """After a server has refused a script, no connection to it is used again; some refusals are retried once, at once."""
    async with store_at(refusing.port, kind) as store:
        await asyncio.gather(*(store.load(KEY) for _ in range(4)))
        refusing.error, refusing.scripts, before = error, 0, refusing.connections
        with pytest.raises(redis.RedisError):
            await store.acquire(KEY, 10)
        # redis-py itself has sent LOADING again, over the same connection
        assert again == (refusing.scripts > 1) or "LOADING" in error
        assert not store._going_back  # a lease that was refused is not given back
        refusing.error, used = "", refusing.connections
        assert await store.load(KEY) is None
        assert refusing.connections > before
        assert refusing.connections == used + 1


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["url", "client"])
@pytest.mark.parametrize(("error", "words"), MISTAKES, ids=[error.split()[0] for error, _ in MISTAKES])
async def test_a_mistake_in_the_configuration_is_named(refusing: Refusing, error: str, words: str, kind: str) -> None:
    """What no waiting mends is a ConfigurationError that says what to do, without the text of the server."""
    async with store_at(refusing.port, kind) as store:
        refusing.error = error
        with pytest.raises(ConfigurationError, match=words) as caught:
            await store.acquire(KEY, 10)
        assert error not in str(caught.value)
        assert not store._going_back


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["url", "client"])
async def test_connections_of_calls_under_way_are_dropped_as_well(refusing: Refusing, kind: str) -> None:
    """A connection that was in use when others were dropped is not used again either."""
    async with store_at(refusing.port, kind) as store:
        await asyncio.gather(*(store.load(KEY) for _ in range(4)))
        refusing.error = "OOM no room"
        outcomes = await asyncio.gather(*(store.load(KEY) for _ in range(4)), return_exceptions=True)
        assert all(isinstance(each, redis.ResponseError) for each in outcomes)
        refusing.error = ""
        await settle(store)
        before = refusing.connections
        refusing.ran.clear()
        await asyncio.gather(*(store.load(KEY) for _ in range(4)))
        assert min(refusing.ran) > before  # how many there are is up to redis-py


async def settle(store: RedisTokenStore) -> None:
    """Wait until what was retired or left is gone."""
    while store._retired or (store._source.client is not None and store._source.client._left):
        await asyncio.sleep(0)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["url", "client"])
async def test_a_replica_behind_the_name_costs_no_call(tmp_path: Path, kind: str) -> None:
    """Where the name leads to the new primary, the call that finds the old one read-only succeeds."""
    with Pair(tmp_path) as servers:
        async with StableName(servers.primary) as name, store_at(name.port, kind) as store:
            await asyncio.gather(*(store.load(KEY) for _ in range(6)))
            ask(servers.replica, "REPLICAOF", "NO", "ONE")
            ask(servers.primary, "REPLICAOF", "127.0.0.1", servers.replica.port)
            with pytest.raises(redis.ReadOnlyError):
                await store.acquire(KEY, 10)
            name.leads_to = servers.replica.port
            await asyncio.gather(*(store.load(KEY) for _ in range(6)))
            lease = await store.acquire(KEY, 10)
            assert lease is not None
            assert await store.save(KEY, StoredToken("invented-token", 0.0, 600.0), lease)
            assert servers.replica.client.dbsize() == 3


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["url", "client"])
async def test_a_server_that_stands_still_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """After two calls in succession without a response, idle connections to that server are not used again."""
    monkeypatch.setattr(clients, "_LATE_SECONDS", 0.0)
    with Pair(tmp_path) as servers:
        async with StableName(servers.primary) as name, store_at(name.port, kind) as store:
            await asyncio.gather(*(store.load(KEY) for _ in range(6)))
            servers.primary.pause()
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(store.load(KEY), 0.05)
            name.leads_to = servers.replica.port
            await asyncio.gather(*(store.load(KEY) for _ in range(6)))
            servers.primary.go_on()


@pytest.mark.asyncio
async def test_few_calls_go_on_after_their_callers(refusing: Refusing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client passed by the caller may finish two calls that load a token, for a while; others are cancelled at once."""
    cancelled: list[str] = []
    hangs = asyncio.Event()

    class Hanging:
        connection_pool: Any = None
        connection = None

        async def eval(self, script: str, *_: Any) -> None:
            try:
                await hangs.wait()
            except asyncio.CancelledError:
                cancelled.append(script)
                raise

    client = clients.GivenClient(Hanging())
    monkeypatch.setattr(clients, "_LATE_IN_SUCCESSION", 1000)
    for name, finish in [("load", True), ("load", True), ("third", True), ("save", False)]:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.eval(name, 0, finish=finish), 0.001)
    await asyncio.sleep(0)
    assert cancelled == ["third", "save"]
    hangs.set()
    while client._left:
        await asyncio.sleep(0)
    assert client._finishing == 0
    monkeypatch.setattr(clients, "_FINISH_SECONDS", 0.0)
    hangs.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.eval("late", 0, finish=True), 0.001)
    while client._left:
        await asyncio.sleep(0)
    assert cancelled == ["third", "save", "late"]


@pytest.mark.asyncio
async def test_a_login_that_is_refused_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A session reads without its store and says once why; with the right password in the reference, it shares again."""
    monkeypatch.setattr(door, "REST_SECONDS", 0.0)
    with RedisServer(tmp_path, password=PASSWORD) as server:
        address = f"127.0.0.1:{server.port}?socket_timeout=60"
        monkeypatch.setenv("INVENTED_REDIS", f"redis://:{PASSWORD}-old@{address}")
        store = RedisTokenStore(SecretFromEnv("INVENTED_REDIS"))
        async with FakeArzamed() as fake, ArzamedSession(base_url=fake.base_url, token_store=store) as session:
            for n in range(3):
                await session.clinic(fake.add_clinic(f"c{n}")).token()
            said = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
            assert said == [
                "the token store cannot be used: Redis does not accept the login: check user and password;"
                " tokens are requested without it"
            ]
            assert PASSWORD not in caplog.text
            monkeypatch.setenv("INVENTED_REDIS", f"redis://:{PASSWORD}@{address}")
            n = 3
            while not server.client.keys("*:kept"):
                await session.clinic(fake.add_clinic(f"c{n}")).token()
                n += 1
        await store.aclose()


def test_a_pool_that_is_too_small_is_refused() -> None:
    """A client with fewer connections than a session makes calls at a time is refused with the number, of any kind."""
    assert _LEAST_CONNECTIONS == door.AT_ONCE
    sentinel = Sentinel([("127.0.0.1", 1)])
    small: list[Any] = [
        Redis(max_connections=5),
        Redis(connection_pool=BlockingConnectionPool(max_connections=5)),
        RedisCluster(host="127.0.0.1", max_connections=5),
        sentinel.master_for("invented", max_connections=5),
        f"redis://:{PASSWORD}@127.0.0.1?max_connections=5",
    ]
    for each in small:
        with pytest.raises(ConfigurationError, match="max_connections is 5, .* allow 6 or more") as caught:
            RedisTokenStore(each)
        assert PASSWORD not in str(caught.value)
    RedisTokenStore(Redis(connection_pool=BlockingConnectionPool(max_connections=6)))
    with pytest.raises(ConfigurationError, match="master_for"):
        RedisTokenStore(sentinel.slave_for("invented"))


@pytest.mark.asyncio
async def test_other_schemes(tmp_path: Path) -> None:
    """A URL may name a Unix socket, or call the server by the name of Valkey."""
    place = tmp_path / "socket"
    with RedisServer(tmp_path, "--unixsocket", str(place)) as server:
        for n, url in enumerate((f"unix://{place}?db=0", f"valkey://127.0.0.1:{server.port}/0")):
            store = RedisTokenStore(url)
            assert await store.acquire(f"{n:064x}", 10) is not None
            assert server.client.exists(f"arzamed:token:{{{n:064x}}}:lease")
            await store.aclose()
    make = RedisTokenStore("valkeys://127.0.0.1")._source._make
    assert make is not None
    assert isinstance(make().connection_pool.make_connection(), redis.asyncio.SSLConnection)
