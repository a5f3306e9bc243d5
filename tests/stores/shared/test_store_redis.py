"""RedisTokenStore with a real Redis: the contract, and a server that is down, paused, full, flushed or out of reach."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import pytest_asyncio
import redis
import trustme
from redis.asyncio import Redis, RedisCluster
from redis_server import RedisServer

from arzamed_async import ConfigurationError, Lease, StoredRejection, StoredToken, TokenStore
from arzamed_async.stores import RedisTokenStore
from arzamed_async.stores import _redis_client as clients
from arzamed_async.stores._scripts import ACQUIRE
from arzamed_async.testing import TokenStoreContract

T = TypeVar("T")
LONG = 600.0
KEY = "a" * 64
OTHER_KEY = "b" * 64
PASSWORD = "invented-password-5e1d"


def token(text: str = "invented-token") -> StoredToken:
    return StoredToken(text, 0.0, LONG)


async def text_of(store: TokenStore, key: str = KEY) -> str | None:
    kept = await store.load(key)
    assert kept is None or isinstance(kept, StoredToken)
    return kept and str(kept.access_token)


async def use(store: TokenStore, key: str = KEY) -> None:
    """Do each thing once."""
    lease = await store.acquire(key, LONG)
    assert lease is not None
    assert await store.acquire(key, LONG) is None
    assert await store.save(key, token(), lease) is True
    assert await text_of(store, key) == "invented-token"
    assert await store.renew(lease, LONG) is True
    assert await store.discard(key, "invented-token") is True
    rejection = StoredRejection(None, "invalid_client", "è", LONG)
    assert await store.save(key, rejection, lease) is True
    assert isinstance(await store.load(key), StoredRejection)
    await store.release(lease)
    following = await store.acquire(key, LONG)
    assert following is not None
    await store.release(following)


@pytest_asyncio.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisTokenStore]:
    store = RedisTokenStore(server.url)
    yield store
    await store.aclose()


@pytest.mark.asyncio
class TestWithUrl(TokenStoreContract):
    """The contract, over connections that the store makes."""

    @pytest.fixture(autouse=True)
    def _place(self, shared_server: RedisServer) -> None:
        self.server = shared_server

    def make_store(self) -> TokenStore:
        return RedisTokenStore(self.server.url)


@pytest.mark.asyncio
class TestWithClient(TokenStoreContract):
    """The contract, over a client of the user's own, whose replies are decoded."""

    @pytest_asyncio.fixture(autouse=True)
    async def _place(self, shared_server: RedisServer) -> AsyncIterator[None]:
        self.client = Redis(host="127.0.0.1", port=shared_server.port, decode_responses=True)
        yield
        await self.client.aclose()

    def make_store(self) -> TokenStore:
        return RedisTokenStore(self.client)


@pytest.mark.asyncio
async def test_a_server_that_is_down_is_an_error_and_no_more(server: RedisServer, store: RedisTokenStore) -> None:
    """While the server is down each call raises; when it is back the same store works."""
    server.kill()
    for call in (store.load(KEY), store.save(KEY, token(), None), store.acquire(KEY, LONG), store.discard(KEY, "x")):
        with pytest.raises(redis.ConnectionError):
            await call
    server.start()
    await use(store)


@pytest.mark.asyncio
async def test_a_restart_costs_no_call(server: RedisServer, store: RedisTokenStore) -> None:
    """The first call behind a restart is answered, though all connections are dead."""
    await asyncio.gather(*(store.save(f"{n:064x}", token(), None) for n in range(50)))
    server.kill()
    server.start()
    assert await asyncio.gather(*(store.load(f"{n:064x}") for n in range(50))) == [None] * 50
    await use(store)


@pytest.mark.asyncio
async def test_a_paused_server_does_not_hang(server: RedisServer) -> None:
    """A call to a server that stands still ends in a timeout; a late answer is never taken for another call's."""
    keys = [f"{n:064x}" for n in range(20)]
    slow, store = RedisTokenStore(server.url), RedisTokenStore(server.plain_url)
    for key in keys:
        await slow.save(key, token(f"of-{key}"), None)
    await asyncio.gather(*(patiently(lambda key=key: store.load(key)) for key in keys))
    server.pause()
    async with asyncio.timeout(60):
        errors = await asyncio.gather(*(store.load(key) for key in keys), return_exceptions=True)
    assert {type(error) for error in errors} == {TimeoutError}
    server.go_on()
    for key in reversed(keys):
        assert await patiently(lambda key=key: text_of(store, key)) == f"of-{key}"
    await slow.aclose()
    await store.aclose()


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call again where a slow machine takes longer than a store waits."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(TimeoutError, redis.TimeoutError):
            return await call()
        assert time.monotonic() < end


@pytest.mark.asyncio
@pytest.mark.parametrize("ready", [False, True])
async def test_a_cancelled_call_ends_at_once(server: RedisServer, ready: bool) -> None:
    """Who is cancelled, at whatever point, is gone long before the limit; what comes late is nobody's."""
    keys = [f"{n:064x}" for n in range(40)]
    client = Redis(host="127.0.0.1", port=server.port, socket_timeout=60, socket_connect_timeout=60)
    store = RedisTokenStore(client if ready else server.url)
    for key in keys:
        await store.save(key, token(f"of-{key}"), None)
    for steps in range(16):
        server.pause()
        tasks = [asyncio.create_task(store.load(key)) for key in keys]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=60)
        assert not pending
        assert all(task.cancelled() for task in tasks)
        server.go_on()
        for key in reversed(keys):
            assert await text_of(store, key) == f"of-{key}"
        if steps % 2:
            await (client if ready else store).aclose()  # the next calls have to connect
    await store.aclose()
    await client.aclose()


@pytest.mark.asyncio
async def test_a_lease_whose_answer_came_too_late_is_given_back(server: RedisServer) -> None:
    """A server that stood still gives a lease to who no longer waits for it: it is free again long before its time."""
    one, other = RedisTokenStore(server.plain_url), RedisTokenStore(server.url)
    await patiently(lambda: one.load("a" * 64))
    server.pause()
    with pytest.raises(TimeoutError):
        await one.acquire("a" * 64, 600)
    server.go_on()
    async with asyncio.timeout(60):
        while not server.client.keys("*:fence") or await other.acquire("a" * 64, 600) is None:
            await asyncio.sleep(0.01)
    for each in (one, other):
        await each.aclose()


@pytest.mark.asyncio
async def test_an_answer_that_nobody_has_read_is_not_the_next_calls(
    server: RedisServer, store: RedisTokenStore
) -> None:
    """Of a connection in which an old answer waits no answer is believed, and it is not used for long."""
    await store.save(KEY, token("mine"), None)
    pool = (await store._bind())._client.connection_pool
    connection = pool.get_available_connection()
    await pool.ensure_connection(connection)
    await connection.send_command("ECHO", "not yours")
    await until(lambda: waiting(connection))
    await pool.release(connection)
    with contextlib.suppress(redis.InvalidResponse):  # or redis-py has seen it, and has dropped the connection itself
        assert await text_of(store) == "mine"
    assert await text_of(store) == "mine"


def waiting(connection: Any) -> bool:
    """Tell whether an answer has arrived in a connection that nobody has read."""
    return bool(connection._reader._buffer)


class Shifted:
    """A client that, once told so, hands over each answer one call late, as a connection with an unread answer does."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.late: list[Any] = []
        self.unread: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    async def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any:
        answer = await self.client.eval(script, numkeys, *keys_and_args)
        if self.unread is None:
            return answer
        self.late.append(answer)
        return self.unread if len(self.late) == 1 else self.late[-2]


@pytest.mark.asyncio
async def test_another_calls_answer_is_not_believed(server: RedisServer) -> None:
    """Whatever the client hands over, an answer that is not this call's is an error: another clinic's, the same one's."""
    client = Redis(host="127.0.0.1", port=server.port)
    shifted = Shifted(client)
    store, others = RedisTokenStore(cast("Redis", shifted)), RedisTokenStore(client)
    await others.save(KEY, token("of-one"), None)
    await others.save(OTHER_KEY, token("of-the-other"), None)
    for unread in (b"not yours", 7, [], [None, None], [b"a", 1, 2], ["è", 1], [b"\xff", 1]):
        shifted.unread, shifted.late = unread, []
        for call in (
            store.load(KEY), store.load(OTHER_KEY), store.load(OTHER_KEY), store.save(KEY, token("new"), None),
            store.discard(OTHER_KEY, "of-one"), store.acquire(KEY, LONG), store.release(Lease(KEY, "invented", 1)),
        ):  # fmt: skip
            with pytest.raises(redis.InvalidResponse, match="belongs to another call"):
                await call
    shifted.unread = None
    assert await text_of(store) == "of-one"
    async with asyncio.timeout(60):
        while await store.acquire(KEY, LONG) is None:  # those of before are given back
            await asyncio.sleep(0.01)
    await store.aclose()
    await client.aclose()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["pool", "cluster"])
async def test_another_store_takes_no_connection_that_is_being_dropped(tmp_path: Path, kind: str) -> None:
    """Idle connections are closed before any other call runs: one of another store over the same client connects again."""
    cluster = ("--cluster-enabled", "yes") if kind == "cluster" else ()
    with RedisServer(tmp_path, *cluster) as server:
        if kind == "cluster":
            make_cluster(server)
        client: Any = (RedisCluster if kind == "cluster" else Redis)(host="127.0.0.1", port=server.port)
        store = RedisTokenStore(client)
        await asyncio.gather(*(store.save(KEY, token("mine"), None) for _ in range(4)))
        used = ids(server)
        drop = asyncio.create_task(clients.GivenClient(client).drop_idle())
        loads = [asyncio.create_task(text_of(store)) for _ in range(4)]
        assert await asyncio.gather(*loads) == ["mine"] * 4
        await drop
        assert not ids(server) & used
        await store.aclose()
        await client.aclose()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["url", "pool", "single", "cluster"])
async def test_a_connection_with_another_calls_answer_is_dropped(tmp_path: Path, kind: str) -> None:
    """Where an answer was another call's, its connection is closed, whichever client it is of; the next call connects."""
    cluster = ("--cluster-enabled", "yes") if kind == "cluster" else ()
    with RedisServer(tmp_path, *cluster) as server:
        client: Any = None
        if kind == "cluster":
            make_cluster(server)
            client = RedisCluster(host="127.0.0.1", port=server.port)
        elif kind != "url":
            client = Redis(host="127.0.0.1", port=server.port, single_connection_client=kind == "single")
        store = RedisTokenStore(client or server.url)
        await store.save(KEY, token("mine"), None)
        used = ids(server)
        assert used
        bound = store._source.client or await store._bind()
        shifted = Shifted(bound._client)
        bound._client, shifted.unread = shifted, b"not yours"
        with pytest.raises(redis.InvalidResponse):
            await store.load(KEY)
        bound._client = shifted.client
        await until(lambda: not used & ids(server))
        assert await text_of(store) == "mine"
        await store.aclose()
        if client is not None:
            await client.aclose()


def ids(server: RedisServer) -> set[str]:
    """Return the numbers of the connections that ran a script last."""
    return {each["id"] for each in server.client.client_list() if each["cmd"] == "eval"}


def make_cluster(server: RedisServer) -> None:
    """Let a server be a cluster of its own."""
    server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    end = time.monotonic() + 60
    while b"cluster_state:ok" not in server.client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.asyncio
async def test_connections_are_few(server: RedisServer, store: RedisTokenStore) -> None:
    """Two hundred calls at once share eight connections, which stay open for the next."""
    for _ in range(2):
        await asyncio.gather(*(store.load(f"{n:064x}") for n in range(200)))
        assert 1 <= server.connections() <= 8


@pytest.mark.asyncio
async def test_a_full_server_keeps_what_it_has(server: RedisServer, store: RedisTokenStore) -> None:
    """Without room, saves and leases are refused and change nothing; the rest goes on."""
    lease = await store.acquire(KEY, LONG)
    assert lease is not None
    assert await store.save(KEY, token("kept"), lease)
    server.client.config_set("maxmemory-policy", "noeviction")
    server.client.config_set("maxmemory", 1)
    for call in (
        store.save(KEY, token("new"), lease), store.save(OTHER_KEY, token(), None), store.acquire(OTHER_KEY, LONG),
    ):  # fmt: skip
        with pytest.raises(redis.ResponseError, match="OOM|maxmemory"):
            await call
    assert await text_of(store) == "kept"
    assert await store.load(OTHER_KEY) is None
    assert await store.renew(lease, LONG) is True
    assert await store.discard(KEY, "kept") is True
    await store.release(lease)
    server.client.config_set("maxmemory", 0)
    await use(store)
    await use(store, OTHER_KEY)


@pytest.mark.asyncio
async def test_a_flush_does_not_set_numbers_back(server: RedisServer, store: RedisTokenStore) -> None:
    """Behind a flush the lease is free, its number is higher, and the late writer still replaces nothing."""
    late = await store.acquire(KEY, LONG)
    assert late is not None
    server.client.flushall()
    lease = await store.acquire(KEY, LONG)
    assert lease is not None
    assert lease.fence > late.fence
    assert await store.renew(late, LONG) is False
    await store.release(late)
    assert await store.acquire(KEY, LONG) is None
    assert await store.save(KEY, token("newer"), lease) is True
    assert await store.save(KEY, token("late"), late) is False
    assert await text_of(store) == "newer"


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["fence", "kept"])
async def test_a_server_clock_that_was_set_back(server: RedisServer, store: RedisTokenStore, where: str) -> None:
    """A lease's number is above the last one, and above that of what is kept, also where the clock says less."""
    ahead = time.time_ns() // 1000 + 10**12
    name = f"arzamed:token:{{{KEY}}}:{where}"
    if where == "fence":
        server.client.set(name, ahead)
    else:
        await store.save(KEY, token(), None)
        server.client.hset(name, "fence", ahead)
    lease = await store.acquire(KEY, LONG)
    assert lease is not None
    assert lease.fence == ahead + 1
    assert await store.save(KEY, token("new"), lease) is True


@pytest.mark.asyncio
async def test_a_lost_answer_does_not_lose_the_lease(store: RedisTokenStore) -> None:
    """When redis-py asks again for a lease because the answer got lost, its owner has it."""
    first = await store._run(ACQUIRE, KEY, "a" * 32, 60_000, 60_000)
    again = await store._run(ACQUIRE, KEY, "a" * 32, 60_000, 60_000)
    assert first is not None
    assert again is not None
    assert int(again) > int(first)
    assert await store._run(ACQUIRE, KEY, "b" * 32, 60_000, 60_000) is None


@pytest.mark.asyncio
async def test_every_key_has_an_end(server: RedisServer) -> None:
    """Nothing stays for ever: each key of ours has a time to live; in them stand a digest, the token and no secret."""
    store = RedisTokenStore(server.url, prefix="invented:")
    lease = await store.acquire(KEY, LONG)
    await store.save(KEY, token(), lease)
    await store.save(OTHER_KEY, StoredRejection(401, "invalid_client", "", LONG), None)
    await store.renew(lease, LONG)
    left = {name.decode(): server.client.pttl(name) for name in server.client.scan_iter()}
    assert set(left) == {
        f"invented:{{{KEY}}}:kept", f"invented:{{{KEY}}}:lease", f"invented:{{{KEY}}}:fence",
        f"invented:{{{OTHER_KEY}}}:kept",
    }  # fmt: skip
    assert all(0 < each <= 2 * 86_400_000 for each in left.values())
    await store.aclose()


@pytest.mark.asyncio
async def test_a_cluster_client(tmp_path: Path) -> None:
    """All of a clinic's keys are in one slot, so that Redis Cluster's client serves."""
    with RedisServer(tmp_path, "--cluster-enabled", "yes") as server:
        make_cluster(server)
        client = RedisCluster(host="127.0.0.1", port=server.port)
        store = RedisTokenStore(client)
        for n in range(10):
            await use(store, f"{n:064x}")
        await client.aclose()


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a Redis that speaks TLS; `other.pem` beside its files is of an authority it knows nothing of."""
    authority, other = trustme.CA(), trustme.CA()
    names = {name: str(tmp_path / f"{name}.pem") for name in ("cert", "key", "ca", "other")}
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(names["key"])
    certificate.cert_chain_pems[0].write_to_path(names["cert"])
    authority.cert_pem.write_to_path(names["ca"])
    other.cert_pem.write_to_path(names["other"])
    with RedisServer(tmp_path, tls=names) as server:
        yield server


def tls_store(
    server: RedisServer, authority: str = "ca", *, connect_seconds: float = 20, seconds: float = 20
) -> RedisTokenStore:
    """Return a store with time enough for a handshake on a slow machine."""
    limits = f"socket_connect_timeout={connect_seconds}&socket_timeout={seconds}"
    return RedisTokenStore(f"rediss://127.0.0.1:{server.port}/0?ssl_ca_certs={server.tls[authority]}&{limits}")


@pytest.mark.asyncio
async def test_tls(tls_server: RedisServer) -> None:
    """A rediss:// URL speaks TLS and checks the certificate: a server of another authority is refused."""
    store, wary = tls_store(tls_server), tls_store(tls_server, "other")
    await use(store)
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        await wary.load(KEY)
    await store.aclose()
    await wary.aclose()


@pytest.mark.asyncio
async def test_certificates_are_read_once(tls_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading certificates holds the event loop: that is done when the store is made, and not for each connection."""
    reads = 0
    read = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        nonlocal reads
        reads += 1
        return read()

    monkeypatch.setattr(ssl, "create_default_context", counted)
    store = tls_store(tls_server)
    assert reads == 1
    await asyncio.gather(*(store.load(f"{n:064x}") for n in range(30)))
    assert tls_server.connections() > 1
    assert reads == 1
    await store.aclose()


@pytest.mark.asyncio
async def test_a_paused_tls_server_keeps_no_socket(tls_server: RedisServer) -> None:
    """A connection given up while the server stands still is closed for good soon, though TLS would wait for an answer."""
    before = open_files()
    store = tls_store(tls_server, seconds=0.2)
    await patiently(lambda: store.load(KEY))
    tls_server.pause()
    for _ in range(3):
        with contextlib.suppress(redis.RedisError, TimeoutError):
            await asyncio.wait_for(store.load(KEY), 0.3)
            raise AssertionError("a paused server has answered")
    await store.aclose()
    await until(lambda: open_files() <= before)
    tls_server.go_on()


@pytest.mark.asyncio
async def test_a_password(tmp_path: Path) -> None:
    """The URL's password opens the server, and stands in no repr and no error."""
    with RedisServer(tmp_path, password=PASSWORD) as server:
        store = RedisTokenStore(server.url.replace("//", f"//:{PASSWORD}@"))
        await use(store)
        assert PASSWORD not in repr(store)
        assert PASSWORD not in repr(vars(store))
        await store.aclose()
        closed = RedisTokenStore(server.url.replace("//", f"//:{PASSWORD}-not@"))
        with pytest.raises(ConfigurationError, match="does not accept the login") as caught:
            await closed.load(KEY)
        assert PASSWORD not in str(caught.value)
        await closed.aclose()


@pytest.mark.asyncio
async def test_a_user_with_the_least_rights(server: RedisServer) -> None:
    """An ACL with these commands, on our keys alone, is all that a store needs."""
    server.client.execute_command(
        "ACL", "SETUSER", "arzamed", "on", f">{PASSWORD}", "~arzamed:token:*",
        "+eval", "+time", "+get", "+set", "+del", "+hget", "+hmget", "+hset", "+pexpire", "+pttl",
    )  # fmt: skip
    url = server.url.replace("//", f"//arzamed:{PASSWORD}@")
    store, elsewhere = RedisTokenStore(url), RedisTokenStore(url, prefix="elsewhere:")
    await use(store)
    with pytest.raises(ConfigurationError, match="lacks a permission: docs/how-to/redis.md has the ACL"):
        await elsewhere.load(KEY)
    await store.aclose()
    await elsewhere.aclose()


@pytest.mark.asyncio
async def test_a_ready_client_is_its_owners(server: RedisServer) -> None:
    """Closing the store leaves a client that was given open."""
    async with Redis(host="127.0.0.1", port=server.port) as client:
        store = RedisTokenStore(client)
        await use(store)
        await store.aclose()
        assert await client.ping()
        assert server.connections() == 1


@pytest.mark.asyncio
async def test_closing_leaves_no_connection(server: RedisServer, store: RedisTokenStore) -> None:
    """A closed store has no connection, and opens one again when it is used."""
    await asyncio.gather(*(store.load(f"{n:064x}") for n in range(20)))
    await store.aclose()
    await until(lambda: server.connections() == 0)
    await use(store)


@pytest.mark.asyncio
@pytest.mark.parametrize("connect_seconds", [None, 20, 0.05], ids=["plain", "tls", "tls in a hurry"])
async def test_closing_while_the_server_stands_still(
    server: RedisServer, tls_server: RedisServer, connect_seconds: float | None
) -> None:
    """Closing neither raises nor hangs where the server does not answer, and no socket of it stays open."""
    still = tls_server if connect_seconds else server
    before = open_files()
    # This limit is redis-py's for closing, too: the shortest is over before TLS gives up its good-bye.
    store = tls_store(still, connect_seconds=connect_seconds) if connect_seconds else RedisTokenStore(still.url)
    await patiently(lambda: store.load(KEY))
    still.pause()
    async with asyncio.timeout(60):
        await store.aclose()
    if connect_seconds == 0.05:
        await until(lambda: open_files() <= before)
    assert open_files() <= before
    still.go_on()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def test_event_loops_one_after_the_other(server: RedisServer) -> None:
    """One store serves loops that come and go; the connections of each end with it, also where nobody closes the store."""
    store = RedisTokenStore(server.url)

    async def crowd() -> None:
        await asyncio.gather(*(store.load(f"{n:064x}") for n in range(50)))

    for n in range(3):
        asyncio.run(crowd())
        asyncio.run(use(store, f"{n:064x}"))
    asyncio.run(until(lambda: server.connections() == 0))
    assert len(store._bound) == 1  # the last loop's: of the others nothing is left
    asyncio.run(store.aclose())


@pytest.mark.parametrize(
    "url",
    [
        "", "redis.example", "http://redis.example", "unix:/tmp/redis", f"redis://:{PASSWORD}/x@redis.example",
        f"redis://:{PASSWORD}@redis.example?db=x", f"redis://:{PASSWORD}@redis.example?no_option_of_redis=1",
        f"rediss://:{PASSWORD}@redis.example?ssl_ca_certs=/no/such/file.pem",
    ],
)  # fmt: skip
def test_a_bad_url_is_refused(url: str) -> None:
    """A URL that cannot work is refused at once, and no part of it shows in the error, locals included."""
    with pytest.raises(ConfigurationError, match="redis://, rediss://, valkey://, valkeys:// or unix://") as caught:
        RedisTokenStore(url)
    ours = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in ours.stack if "arzamed_async" in frame.filename]  # there may be none
    assert PASSWORD not in str([frame.locals for frame in frames])
    assert caught.value.__context__ is None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, the error says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"needs redis, .* pip install '\.\[redis\]'"):
        RedisTokenStore("redis://127.0.0.1")
