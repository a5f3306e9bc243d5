"""A server in a thread with its own event loop, for tests that have no loop, or one loop each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

__all__ = ["ServerThread"]


class ServerThread:
    """Runs `start` at once, then an event loop, and `stop` at the end. Propagates the exception of `start`."""

    def __init__(self, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        self._start = start
        self._stop = stop
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._over = asyncio.Event()
        # A daemon: a server that is never stopped must not keep the interpreter alive.
        self._thread = threading.Thread(target=self._run, name="FakeArzamed", daemon=True)
        self._thread.start()
        self._loop = self._ready.result()

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _live(self) -> None:
        await self._start()
        self._ready.set_result(asyncio.get_running_loop())
        try:
            await self._over.wait()
        finally:
            await self._stop()

    def stop(self) -> None:
        """Stop the server, and wait for the end of its thread. Repeated calls are fine, from one thread at a time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
