"""Several Redis servers of which one takes the place of another: behind a stable name, with Sentinel, as a Cluster."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import redis
from redis_server import RedisServer

__all__ = ["MASTER", "ClusterServers", "Pair", "SentinelServers", "StableName", "ask", "wait_until"]

MASTER = "invented"
#: The servers notice within this time that their primary is gone.
DOWN_MILLISECONDS = 500
_FAST = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
_BOUND_SECONDS = 60.0


def ask(server: RedisServer, *command: object) -> Any:
    """Return the reply of a server as it is, in text: redis-py's own reading of it depends on its version."""
    with redis.Redis(port=server.port, password=server.password or None, decode_responses=True, protocol=2) as client:
        client.response_callbacks.clear()
        return client.execute_command(*command)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition of the servers; an error while it is looked at means: not yet."""
    end = time.monotonic() + _BOUND_SECONDS
    while True:
        with contextlib.suppress(redis.RedisError, OSError):
            if condition():
                return
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Pair(contextlib.ExitStack):
    """A primary and its replica, which is in step with it."""

    def __init__(self, folder: Path, password: str = "") -> None:
        super().__init__()
        self.folder = folder
        self.password = password

    def start(self, name: str, *options: str) -> RedisServer:
        """Start a server with a folder of its own."""
        (self.folder / name).mkdir()
        secret = ("--masterauth", self.password) if self.password else ()
        return self.enter_context(RedisServer(self.folder / name, *_FAST, *secret, *options, password=self.password))

    def __enter__(self) -> Pair:
        super().__enter__()
        try:
            self.primary = self.start("primary")
            self.replica = self.start("replica", "--replicaof", "127.0.0.1", str(self.primary.port))
            wait_until(self.in_step, "the replica has no connection to its primary")
        except BaseException:
            self.close()
            raise
        return self

    def in_step(self) -> bool:
        """Return whether the replica has a connection to its primary."""
        return "master_link_status:up" in ask(self.replica, "INFO", "replication")

    def is_over(self) -> bool:
        """Return whether the replica is the primary by now."""
        return "role:master" in ask(self.replica, "INFO", "replication")


class Port:
    """A port on loopback whose connections are counted, and ended with it. A subclass serves them."""

    def __init__(self) -> None:
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(2):  # the sockets are closed in the next turns
            await asyncio.sleep(0)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self.serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.transport.abort())


class StableName(Port):
    """A port that leads to a server, as a name in DNS does: what is connected stays with the one that it led to then."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.leads_to = server.port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay it to where the name leads now."""
        there, to = await asyncio.open_connection("127.0.0.1", self.leads_to)
        copies = [asyncio.ensure_future(_copy(reader, to)), asyncio.ensure_future(_copy(there, writer))]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to.transport.abort()  # first: the port's end may cancel what follows
            for each in copies:
                each.cancel()
            await asyncio.gather(*copies, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)


class _Sentinel(RedisServer):
    """A sentinel of a pair."""

    def __init__(self, folder: Path, pair: Pair, password: str) -> None:
        super().__init__(folder, password=password)
        self._pair = pair

    def _command(self) -> list[str]:
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self.folder}",
            f"logfile {self.folder / 'log'}",
            f"sentinel monitor {MASTER} 127.0.0.1 {self._pair.primary.port} 2",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_MILLISECONDS}",
            f"sentinel failover-timeout {MASTER} 3000",
        ]
        if self.password:
            lines += [f"requirepass {self.password}", f"sentinel sentinel-pass {self.password}"]
        if self._pair.password:
            lines.append(f"sentinel auth-pass {MASTER} {self._pair.password}")
        file = self.folder / "sentinel.conf"
        file.write_text("\n".join([*lines, ""]))
        return [self.program, str(file), "--sentinel"]


class SentinelServers(Pair):
    """A primary, its replica, and three sentinels, which have found each other."""

    def __init__(self, folder: Path, password: str = "", sentinel_password: str = "") -> None:
        super().__init__(folder, password)
        self.sentinel_password = sentinel_password

    def __enter__(self) -> SentinelServers:
        super().__enter__()
        try:
            self.sentinels: list[RedisServer] = []
            for n in range(3):
                (self.folder / f"sentinel{n}").mkdir()
                sentinel = _Sentinel(self.folder / f"sentinel{n}", self, self.sentinel_password)
                self.sentinels.append(self.enter_context(sentinel))
            wait_until(self._know_each_other, "the sentinels have not found each other")
        except BaseException:
            self.close()
            raise
        return self

    @property
    def places(self) -> list[tuple[str, int]]:
        """The sentinels, as redis-py takes them."""
        return [("127.0.0.1", each.port) for each in self.sentinels]

    def _know_each_other(self) -> bool:
        for sentinel in self.sentinels:
            reply = ask(sentinel, "SENTINEL", "MASTER", MASTER)
            known = dict(zip(reply[::2], reply[1::2], strict=True))
            if (known["num-other-sentinels"], known["num-slaves"]) != ("2", "1"):
                return False
        return True

    def is_over(self) -> bool:
        """Return whether all sentinels name the replica as the primary."""
        places = [ask(each, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER) for each in self.sentinels]
        return super().is_over() and all(int(port) == self.replica.port for _, port in places)


class ClusterServers(Pair):
    """Three primaries, with a third of the slots each, and a replica of the first one."""

    def __enter__(self) -> ClusterServers:
        contextlib.ExitStack.__enter__(self)
        try:
            self._start_all()
        except BaseException:
            self.close()
            raise
        return self

    def _start_all(self) -> None:
        options = (
            "--cluster-enabled", "yes", "--cluster-node-timeout", str(DOWN_MILLISECONDS),
            "--cluster-require-full-coverage", "no",
        )  # fmt: skip
        self.all = [self.start(f"node{n}", *options) for n in range(4)]
        self.primary, _, _, self.replica = self.all
        bounds = [0, 5461, 10923, 16384]
        for n, (first, end) in enumerate(itertools.pairwise(bounds)):
            ask(self.all[n], "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            ask(self.all[n], "CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for other in self.all[1:]:
            ask(other, "CLUSTER", "MEET", "127.0.0.1", self.primary.port)
        wait_until(
            lambda: all(_count(each, "handshake") == (4, 0) for each in self.all), "nodes do not know each other"
        )
        name = ask(self.primary, "CLUSTER", "MYID")
        wait_until(lambda: bool(ask(self.replica, "CLUSTER", "REPLICATE", name)), "the replica has no primary")
        wait_until(self._is_ready, "the cluster is not ready")

    def _is_ready(self) -> bool:
        ok = all("cluster_state:ok" in ask(each, "CLUSTER", "INFO") for each in self.all)
        return ok and all(_count(each, "slave") == (4, 1) for each in self.all) and self.in_step()

    def is_over(self) -> bool:
        """Return whether all other nodes name the replica as a primary."""
        mine = f":{self.replica.port}@"
        return all(
            any(mine in line and "master" in line for line in ask(each, "CLUSTER", "NODES").splitlines())
            for each in self.all[1:]
        )


def _count(server: RedisServer, flag: str) -> tuple[int, int]:
    """Return how many nodes a server knows, and how many of them have a flag."""
    lines = ask(server, "CLUSTER", "NODES").splitlines()
    return len(lines), sum(flag in line.split()[2] for line in lines)
