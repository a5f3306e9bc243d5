"""Redis clients with limits: one of our own for each event loop, or the one that the caller has passed."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# redis-py annotates its signatures only partially.

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from ._forks import leave_connections
from ._redis_errors import is_late

__all__ = ["BoundClient", "GivenClient"]

#: Concurrent calls, and so connections, for each event loop: a call is one short script.
_CONNECTIONS = 8
#: A server that has not responded for this long is late (a session waits 0.2 s); after this number of late calls in
#: succession, it is looked for again.
_LATE_SECONDS = 0.1
_LATE_IN_SUCCESSION = 2
#: For how long a client that was passed may go on with a call that nobody waits for, and how many such calls there are.
_FINISH_SECONDS = 5.0
_MOST_FINISHING = 2
#: The longest wait for connections that are being closed: a server that does not respond may hold that up.
_CLOSE_SECONDS = 0.1


class _Client:
    """A client of redis-py, with a count of the calls in succession that got no response in time."""

    #: Whether it knows about the nodes of a Cluster.
    cluster = False

    def __init__(self, client: Any) -> None:
        self._client = client
        self._late = 0

    def has_lost(self, error: BaseException, seconds: float) -> bool:
        """Return whether to look for the server again, after a call has failed in this time.

        A single call that takes too long is not enough: the machine may be busy.
        """
        if not is_late(error):
            return True
        if seconds >= _LATE_SECONDS:
            self._late += 1
        return self._late >= _LATE_IN_SUCCESSION

    def leave_process(self) -> object:
        """Leave the connections to the parent of this forked child. Returns what must not be freed here."""
        return leave_connections(self._client)


class BoundClient(_Client):
    """A client made from a URL, on one event loop, with a bounded number of concurrent calls."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        # redis-py applies its timeout with `asyncio.wait_for`, which can swallow a cancellation before Python 3.12.
        # So the timeout is applied here, to the call as a whole.
        self._seconds: float | None = client.connection_pool.connection_kwargs["socket_timeout"]
        client.connection_pool.connection_kwargs["socket_timeout"] = None
        self._most = min(_CONNECTIONS, client.connection_pool.max_connections)
        self._slots = asyncio.Semaphore(self._most)
        # asyncio.run closes async generators that are still open: so the connections are closed with their loop.
        self.closer = _close_with_loop(client)
        with contextlib.suppress(StopIteration):
            self.closer.__anext__().send(None)  # runs up to its yield, which awaits nothing

    async def eval(self, script: str, numkeys: int, /, *keys_and_args: Any, finish: bool = False) -> Any:
        """Run a script; TimeoutError if it takes too long. `finish` is for a client that the caller has passed."""
        async with asyncio.timeout(self._seconds), self._slots:
            reply = await self._client.eval(script, numkeys, *keys_and_args)
        self._late = 0
        return reply

    def is_connected(self) -> bool:
        """Return whether there are connections that may be those of another server than a new one would be."""
        pool = self._client.connection_pool
        connections = [*pool._available_connections, *pool._in_use_connections]  # noqa: SLF001
        return any(each.is_connected for each in connections)

    async def retire(self) -> None:
        """Close the connections, as soon as the calls under way have ended."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    for _ in range(self._most):
                        await self._slots.acquire()
        finally:
            await self.closer.aclose()

    async def drop_idle(self) -> None:
        """Drop the idle connections."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await _drop_idle(self._client)


class GivenClient(_Client):
    """A client that the caller has passed, with limits of its own."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.cluster = hasattr(client, "get_nodes")
        self._left: set[asyncio.Future[Any]] = set()
        self._drop: asyncio.Future[None] | None = None
        self._finishing = 0
        self._generation = 0

    async def eval(self, script: str, numkeys: int, /, *keys_and_args: Any, finish: bool = False) -> Any:
        """Run a script. A cancelled caller returns at once, however the client handles a cancellation.

        With `finish`, the client may go on for a while after that: to find the new primary, a client of Sentinel or
        Cluster may have to try servers that do not respond, which takes longer than a session waits.
        """
        if self._drop is not None and self._drop.get_loop() is asyncio.get_running_loop():
            await asyncio.wait((self._drop,), timeout=_CLOSE_SECONDS)
        generation = self._generation
        call = asyncio.ensure_future(self._client.eval(script, numkeys, *keys_and_args))
        try:
            await asyncio.wait((call,))
        except asyncio.CancelledError:
            self._leave(call, finish)
            raise
        self._late = 0 if call.exception() is None else self._late
        if generation != self._generation:  # its connection is idle now, and not one of the new ones
            self.look_again()
        return call.result()

    def look_again(self) -> None:
        """Drop the connections that are idle, and those of the calls under way when they have ended."""
        self._generation += 1
        self._late = 0
        self._drop = asyncio.ensure_future(self.drop_idle())
        self._keep(self._drop)

    async def end_calls(self) -> None:
        """Cancel the calls that nobody waits for any more. The client itself stays open."""
        running = asyncio.get_running_loop()
        left = {each for each in self._left if each.get_loop() is running}
        for each in left:
            each.cancel()
        if left:
            await asyncio.wait(left, timeout=_CLOSE_SECONDS)

    def leave_process(self) -> object:
        """Leave the connections to the parent of this forked child; the client opens others when it needs them."""
        left, self._left, self._finishing = (self._left, self._drop), set(), 0
        self._drop = None
        return left, super().leave_process()

    async def drop_idle(self) -> None:
        """Drop the idle connections; the client opens others when it needs them."""
        await _drop_idle(self._client)

    def _leave(self, call: asyncio.Future[Any], finish: bool) -> None:
        self._keep(call)
        if not finish or self._finishing >= _MOST_FINISHING:
            call.cancel()
            return
        self._finishing += 1
        timer = call.get_loop().call_later(_FINISH_SECONDS, call.cancel)

        def finished(_: object) -> None:
            timer.cancel()
            self._finishing = max(0, self._finishing - 1)

        call.add_done_callback(finished)

    def _keep(self, task: asyncio.Future[Any]) -> None:
        self._left.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._left.discard(task)
        if task is self._drop:
            self._drop = None
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it


async def _drop_idle(client: Any) -> None:
    """Drop a client's idle connections. One in use with the same fault is dropped by the next mismatched response.

    Errors while closing are ignored: the sockets are closed all the same.
    """
    if hasattr(client, "get_nodes"):  # a Cluster
        idle = [each for node in client.get_nodes() for each in getattr(node, "_free", ())]
    else:
        idle = list(client.connection_pool._available_connections)  # noqa: SLF001 - redis-py has no other way
    # Without a wait each is closed at once, and one after the other, since gather would start a turn of the loop later: else a
    # call of another store over the same client could take one of them while it is being closed.
    for each in idle:
        with contextlib.suppress(Exception):
            await each.disconnect(nowait=True)
    single = None if hasattr(client, "get_nodes") else client.connection
    if single is not None:  # a single-connection client: the pool counts its connection as in use
        with contextlib.suppress(Exception):
            await single.disconnect()


async def _close_with_loop(client: Any) -> AsyncGenerator[None, None]:
    from redis.exceptions import RedisError

    try:
        yield
    finally:
        with contextlib.suppress(RedisError):  # if the server does not respond, the sockets are closed all the same
            await client.aclose()
