"""Looks host names up, in a session's own threads: a name server that hangs holds up neither other hosts nor the program."""

from __future__ import annotations

import asyncio
import socket
import string
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from .._concurrency.single_flight import SingleFlight
from .._concurrency.threads import Threads

__all__ = ["Resolver"]

#: How long addresses are kept, as in aiohttp, and of how many hosts.
KEPT_SECONDS = 10.0
MOST_HOSTS = 1000

_ASYNCIOS_OWN = vars(asyncio.BaseEventLoop)["getaddrinfo"]
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_USABLE = socket.AI_ADDRCONFIG & getattr(socket, "AI_MASK", socket.AI_ADDRCONFIG)

_WITHOUT_DIGITS = str.maketrans("", "", string.digits)

#: Family, protocol, address, and the port if it is not the one that was given.
Address = tuple[int, int, str, int | None]


class Resolver(AbstractResolver):
    """One look-up of each host at a time, whatever the port; its addresses are kept for a few seconds.

    `unfinished` has what the look-up of a cancelled task was doing; that task's `connect` takes it from there.
    """

    def __init__(self, threads: Threads) -> None:
        self.unfinished: dict[asyncio.Task[Any] | None, str] = {}
        self._loop = asyncio.get_running_loop()
        self._threads = threads
        self._tasks: set[asyncio.Task[Any]] = set()
        self._flights = SingleFlight(self._spawn)
        self._found: OrderedDict[tuple[str, int], tuple[float, Sequence[Address]]] = OrderedDict()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host, at each call beginning with another one. Raises OSError."""
        key = (host, int(family))
        until, found = self._found.get(key, (0.0, ()))
        if self._loop.time() >= until:
            found = await self._look_up(key, port)
            until = self._loop.time() + KEPT_SECONDS
        self._found[key] = until, (*found[1:], *found[:1])
        self._found.move_to_end(key)
        if len(self._found) > MOST_HOSTS:
            self._found.popitem(last=False)
        return [
            ResolveResult(hostname=host, host=address, port=own or port, family=kind, proto=protocol, flags=_NUMERIC)
            for kind, protocol, address, own in found
        ]

    async def _look_up(self, key: tuple[str, int], port: int) -> Sequence[Address]:
        host, family = key
        what = f"the look-up of {host} has not ended"
        try:
            if _has_own_look_up(self._loop):
                flight = self._flights.under_way(key) or self._flights.start(
                    key, lambda _: self._ask_loop(host, port, family)
                )
                found: Sequence[Address] = await flight.wait()
                return found
            # Names that differ in digits alone are likely to have the same name server.
            like = ("host", host.translate(_WITHOUT_DIGITS))
            call = self._threads.call(("host", *key), like, partial(_addresses, host, port, family))
            try:
                return await call.wait()
            finally:
                if call.started is None:
                    what = f"the look-up of {host} waits for those of other hosts, which have not ended"
        except asyncio.CancelledError:
            self.unfinished[asyncio.current_task()] = what
            raise

    async def _ask_loop(self, host: str, port: int, family: int) -> Sequence[Address]:
        infos = await self._loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=_USABLE)
        return _usable(infos, port)

    async def close(self) -> None:
        """End the look-ups of the event loop; those in threads end by themselves, and nobody waits for them."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _has_own_look_up(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether a program or a test has replaced the event loop's `getaddrinfo`: then that one is used."""
    kind = next(each for each in type(loop).__mro__ if "getaddrinfo" in vars(each))
    if "getaddrinfo" in getattr(loop, "__dict__", {}):
        return True
    return kind.__module__.partition(".")[0] not in ("uvloop", "winloop") and (
        vars(kind)["getaddrinfo"] is not _ASYNCIOS_OWN
    )


def _addresses(host: str, port: int, family: int) -> Sequence[Address]:
    """Look a host up. This blocks."""
    try:
        infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=_USABLE)
    except socket.gaierror:
        if host.rstrip(".").lower() != "localhost":  # Windows finds it without a network only so
            raise
        infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return _usable(infos, port)


def _usable(infos: Sequence[tuple[int, int, int, str, Any]], port: int) -> Sequence[Address]:
    found: list[Address] = []
    for family, _, protocol, _, address in infos:
        name, own = address[:2]
        if family == socket.AF_INET6:
            if len(address) < 4:  # Python was built without IPv6
                continue
            if address[3]:  # a link-local address needs its interface
                name = socket.getnameinfo(address, _NUMERIC)[0]
        found.append((family, protocol, name, None if own == port else own))
    if not found:
        raise socket.gaierror(getattr(socket, "EAI_NODATA", socket.EAI_NONAME), "no usable address")
    return found
