"""What a forked child does first, done here in the same process: the sockets and the loop of the parent are left as they are."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import RawServer

from arzamed_async import ArzamedSession, ConfigurationError
from arzamed_async._concurrency import lifetime as module
from arzamed_async._concurrency.forks import lead_nowhere, own_poll
from arzamed_async._concurrency.lifetime import Lifetime
from arzamed_async.stores import FileTokenStore, _forks

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="only Linux has an epoll")


def no_socketpair() -> tuple[socket.socket, socket.socket]:
    """Fail as where no descriptor is free."""
    raise OSError(errno.EMFILE, "too many open files")


@pytest.mark.parametrize("free", [True, False], ids=["descriptors are free", "none is free"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_descriptor_that_leads_nowhere_harms_no_other_of_its_socket(
    count: int, free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child's descriptors read an end; the parent's goes on in both directions; no descriptor is needed for it."""
    pairs = [socket.socketpair() for _ in range(count)]
    parents = [ours.dup() for ours, _ in pairs]
    if not free:
        monkeypatch.setattr(socket, "socketpair", no_socketpair)
    lead_nowhere(ours for ours, _ in pairs)
    for (ours, peer), parent in zip(pairs, parents, strict=True):
        with ours, peer, parent:
            peer.sendall(b"to the parent")
            if free:
                assert ours.recv(100) == b""
            else:
                with pytest.raises(OSError, match="[Nn]on-socket"):
                    ours.recv(100)
            assert parent.recv(100) == b"to the parent"
            parent.sendall(b"back")
            assert peer.recv(100) == b"back"


def test_the_copy_of_a_loop_has_a_poll_object_of_its_own() -> None:
    """It runs, wakes and watches as before, without its parent's connections; its end takes nothing from the parent's."""
    loop: Any = asyncio.new_event_loop()
    ours, peer = socket.socketpair()
    seen: list[bytes] = []
    loop.add_reader(ours, lambda: seen.append(ours.recv(10)))
    with select.epoll.fromfd(os.dup(loop._selector.fileno())) as parents, loop._csock.dup() as wakes, loop._ssock.dup():
        with ours, peer:
            assert own_poll(loop)
            peer.sendall(b"watched")
            loop.run_until_complete(asyncio.wait_for(asyncio.to_thread(int), 60))
            assert seen == [b"watched"]
            loop.remove_reader(ours)
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            assert parents.poll(0) == []
            wakes.send(b"\0")
            assert parents.poll(0) != []  # the parent's loop wakes
    assert not own_poll(loop)


async def used(session: ArzamedSession, server: RawServer) -> None:
    """Call."""
    assert len(await session.clinic(server.credentials()).doctors.list()) == 3


@pytest.mark.asyncio
async def test_a_session_that_leaves_its_process_keeps_the_token_alone() -> None:
    """It opens a connection of its own, and does not request a second token."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        await used(session, server)
        lifetime = session._engine.lifetime
        pool: Any = session._engine.transport.pool
        lifetime.leave_process()
        module._shared.clear()
        await used(session, server)
        assert (server.connections, server.token_requests) == (2, 1)
        await session.aclose()
        for left in tuple(pool.sockets._connections):  # a child would end with it
            left.abort()
        while server.open_connections:
            await asyncio.sleep(0.001)


def test_a_loop_that_still_waits_with_its_parent_is_refused() -> None:
    """One that is not asyncio's own on epoll cannot continue in a child: the call fails at once, and names the remedy."""
    lifetime, loop = Lifetime(), asyncio.new_event_loop()

    async def enter() -> None:
        lifetime.enter()

    loop.run_until_complete(enter())
    left = lifetime.leave_process()
    with pytest.raises(ConfigurationError, match="start a new one"):
        loop.run_until_complete(enter())
    loop.close()
    module._shared.difference_update(left)
    asyncio.run(enter())


def test_the_coroutine_that_has_forked_can_leave_its_session() -> None:
    """There is no running loop in it: a close finds nothing to end, and work that would be spawned is closed."""

    async def work() -> None:
        raise AssertionError

    lifetime = Lifetime()
    with pytest.raises(RuntimeError, match="no running event loop"):
        lifetime.close()
    for spawn in (lifetime.spawn, lifetime.spawn_outliving):
        with pytest.raises(RuntimeError, match="no running event loop"):
            spawn(work())
    lifetime.leave_process()
    lifetime.close()
    assert lifetime.closed


def test_a_child_starts_although_something_cannot_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is without the parent's loop all the same, and the next one is left, too."""
    first, second = Lifetime(), Lifetime()

    def fail() -> object:
        raise OSError

    async def enter() -> None:
        first.enter()
        second.enter()

    asyncio.run(enter())
    first.on_fork(fail)
    monkeypatch.setattr(module, "_all", (first, second))
    monkeypatch.setattr(module, "_abandoned", [])
    module._leave_parent()
    assert first._loop is second._loop is None
    module._shared.clear()


def test_a_client_of_redis_leaves_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those idle and in use count as not connected, their sockets lead nowhere, and a lock that a task held is another."""
    ours, peer = socket.socketpair()
    writer = SimpleNamespace(get_extra_info=lambda _: ours)
    connected, fresh = SimpleNamespace(_reader="reader", _writer=writer), SimpleNamespace(_reader=None, _writer=None)
    lock = asyncio.Lock()
    pool = SimpleNamespace(_available_connections=[fresh], _in_use_connections={1: connected}.values(), _lock=lock)
    with ours, peer, ours.dup() as parents:
        assert _forks.leave_connections(SimpleNamespace(connection_pool=pool)) == ["reader", writer]
        assert connected._reader is None
        assert not connected._writer  # redis-py warns of one that is left open
        with pytest.raises(ConnectionError, match="forked from"):  # which a command that is about to be written meets
            connected._writer.writelines([b"PING"])
        assert pool._lock is not lock
        assert ours.recv(10) == b""
        parents.sendall(b"whole")
        assert peer.recv(10) == b"whole"


def test_a_childs_copy_of_a_file_store_cannot_unlock_its_parents_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What unlocks the file in the child, as an old filelock's finalizer does, leaves the parent's lease alone."""
    fcntl = pytest.importorskip("fcntl")
    store, other = FileTokenStore(tmp_path / "tokens"), FileTokenStore(tmp_path / "tokens")
    key = "a" * 64
    assert asyncio.run(store.acquire(key, 100.0)) is not None
    number: Any = next(iter(store._holder._locks.values()))._context.lock_file_fd  # type: ignore[attr-defined]
    parents = os.dup(number)
    left: list[object] = []
    monkeypatch.setattr(_forks, "_abandoned", left)
    _forks._leave_parent()
    with contextlib.suppress(OSError):
        fcntl.flock(number, fcntl.LOCK_UN)
    assert asyncio.run(other.acquire(key, 100.0)) is None
    os.close(parents)
    assert asyncio.run(other.acquire(key, 100.0)) is not None  # the parent has ended: its child does not hold the lock
