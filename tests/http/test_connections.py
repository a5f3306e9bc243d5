"""The pool's promise: never more sockets than `connections`, counted where one more is about to be connected."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Hashable
from pathlib import Path

import pytest
from support.raw_server import RawServer, Request, json_answer, token_answer, unfit
from test_limits import until

from arzamed_async import ArzamedSession, Clinic, PoolLimits
from arzamed_async._http.connections import Connections

pytestmark = pytest.mark.asyncio

ONE = PoolLimits(connections=1, connections_per_clinic=1)


class Sockets:
    """Counts the client's sockets whenever one more is about to be connected: only then do they become more."""

    def __init__(self, server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.port = server.port
        self.before = self.count()
        self.most = 0
        loop = asyncio.get_running_loop()
        self.connect = loop.sock_connect
        monkeypatch.setattr(loop, "sock_connect", self.counted)

    async def counted(self, sock: socket.socket, address: tuple[str, int]) -> None:
        self.most = max(self.most, self.count() - self.before)
        await self.connect(sock, address)

    def count(self) -> int:
        count = 0
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # no socket, or the descriptor of the listing itself
                opened = socket.socket(fileno=int(entry.name))
                try:
                    count += opened.family == socket.AF_INET and opened.getsockname()[1] != self.port
                finally:
                    opened.detach()
        return count


async def test_a_connection_given_up_counts_until_its_socket_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call cut short at any point, and another in the same turn: never a second socket where one is allowed."""

    async def once(request: Request, writer: asyncio.StreamWriter) -> None:
        await server.good(request, writer)
        writer.close()

    async with RawServer(once) as server:
        sockets = Sockets(server, monkeypatch)

        async def again(clinic: Clinic) -> bool:
            task = asyncio.current_task()
            assert task is not None
            try:
                await clinic.get("first")
            except asyncio.CancelledError:
                task.uncancel()
                await clinic.get("second")
                return False
            return True

        point, whole = 1, False
        while not whole:
            async with ArzamedSession(base_url=server.base_url, pool=ONE) as session:
                clinic = session.clinic(server.credentials())
                await clinic.token()
                await until(lambda: server.open_connections == 0)
                task = asyncio.create_task(again(clinic))
                for _ in range(point):
                    await asyncio.sleep(0)
                task.cancel()
                whole = await task
            assert sockets.most <= 1, f"cut short in turn {point}"
            point += 1
        assert sockets.most == 1


async def test_looking_at_the_stats_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream left, the stats looked at and a call made in one turn: the stream's socket still counts."""
    many = [{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(20_000)]

    async def long(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else json_answer(200, many))

    async with RawServer(long) as server:
        sockets = Sockets(server, monkeypatch)
        async with ArzamedSession(base_url=server.base_url, pool=ONE) as session:
            clinic = session.clinic(server.credentials())
            async with clinic.doctors.stream() as doctors:
                await anext(doctors)
            assert session.stats().pool.open == 0
            await clinic.get("x")
        assert sockets.most == 1


async def test_a_connection_that_is_no_longer_fit_makes_room_for_its_successor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection over which bytes came while it was idle is closed before another is opened in its place."""
    writers: list[asyncio.StreamWriter] = []

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await server.good(request, writer)

    async with RawServer(handler) as server:
        sockets = Sockets(server, monkeypatch)
        async with ArzamedSession(base_url=server.base_url, pool=ONE) as session:
            clinic = session.clinic(server.credentials())
            await clinic.token()
            is_unfit = unfit(session)
            writers[0].write(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n")
            await until(is_unfit)
            await clinic.get("x")
        assert server.connections == 2
        assert sockets.most == 1


class Transport(asyncio.Transport):
    """A transport over no socket."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


class User:
    """What uses it: busy, then leaving, then idle."""

    closed = False
    leaving = False

    def left(self) -> None:
        self.closed, self.leaving = True, False


def in_use(sockets: Connections, user: User, host: str) -> Transport:
    """Let this user have a new connection."""
    transport = Transport()
    sockets.start_opening()
    assert sockets.claim(transport, user, None, spoiled=False)
    sockets.hand_over(transport, user, host)
    return transport


@pytest.mark.parametrize("host", ["same", "other"])
async def test_a_connection_that_is_leaving_is_waited_for(host: str) -> None:
    """One that becomes idle in the next turn counts until then: it is reused, or closed before another one is opened."""
    loop = asyncio.get_running_loop()
    sockets, user = Connections(1, loop), User()
    transport = in_use(sockets, user, "same")
    user.leaving = True
    loop.call_soon(user.left)
    assert await sockets.make_room(host)
    assert user.closed
    assert transport.aborted == (host == "other")
    assert sockets.is_full() == (host == "same")


async def test_where_nothing_can_be_closed_nobody_waits() -> None:
    """A connection in use is not closed for another, and there is no wait for what may never end."""
    sockets, user = Connections(1, asyncio.get_running_loop()), User()
    transport = in_use(sockets, user, "same")
    assert not await sockets.make_room("other")
    assert not transport.aborted


async def test_a_connection_that_becomes_idle_while_room_is_made_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that had to wait for room takes the connection that became idle meanwhile, and opens none."""
    make_room = Connections.make_room
    gate, room = asyncio.Event(), asyncio.Event()
    waiting: list[Hashable] = []

    async def slow(self: Connections, host: Hashable) -> bool:
        waiting.append(host)
        await room.wait()
        return await make_room(self, host)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if "first" in request.target:
            await gate.wait()
        await server.good(request, writer)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, pool=ONE) as session:
        milano, roma = (session.clinic(server.credentials(name)) for name in ("Milano", "Roma"))
        await milano.token()
        await roma.token()
        first = asyncio.create_task(milano.get("first"))
        await until(lambda: server.api_requests == 1)
        monkeypatch.setattr(Connections, "make_room", slow)
        pool = session._engine.transport.pool
        assert pool is not None
        pool.slots.release()  # as if the first call had returned its slot a turn before its connection
        second = asyncio.create_task(roma.get("second"))
        await until(lambda: bool(waiting))
        gate.set()
        await first
        room.set()
        await second
        assert server.connections == 1
