"""The pool's promise: never more sockets than `connections`, counted where one more is about to be connected."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest
from support.raw_server import RawServer, Request, json_answer, token_answer, unfit
from test_limits import until

from arzamed_async import ArzamedSession, Clinic, PoolLimits

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
