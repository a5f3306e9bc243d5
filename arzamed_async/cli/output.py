"""Standard output, written from its own thread: a pager that does not read blocks neither the network nor Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

__all__ = ["StdoutQueue", "stdout_writer"]

#: The most bytes that wait to be written; beyond it, `put` waits.
_MOST_BYTES = 65_536


def stdout_writer() -> Callable[[bytes], None]:
    """Return a function that writes all its bytes to standard output."""
    sys.stdout.flush()
    # The raw file, below the buffer: a thread that hangs in a write would hold the buffer's lock for ever.
    raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)

    def write(data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[raw.write(left) :]

    return write


class StdoutQueue:
    """A bounded queue of bytes for standard output.

    A write error (`UnwrittenError`) is raised by the next `put`, or by `drain`.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._news = threading.Condition()
        self._pending = bytearray()
        self._busy = False
        self._ended = False
        self._error: OSError | None = None
        self._wake: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def add(self, data: bytes) -> int:
        """Queue bytes without waiting; return how many wait to be written."""
        with self._news:
            self._pending += data
            if self._thread is None:
                # A daemon: where nobody reads the pipe, it never ends.
                self._thread = threading.Thread(target=self._work, name="arzamed-stdout", daemon=True)
                self._thread.start()
            self._news.notify_all()
            return len(self._pending)

    async def put(self, data: bytes) -> None:
        """Queue bytes; wait while too many are queued."""
        if self.add(data) > _MOST_BYTES:
            await self._until(lambda: len(self._pending) <= _MOST_BYTES)
        self._check()

    async def drain(self) -> None:
        """Wait until all is written, which ends the thread."""
        await self._until(lambda: not self._pending and not self._busy)
        self.close(0)
        self._check()

    def close(self, seconds: float) -> None:
        """Wait until all is written, at most this long, and ignore errors; the thread ends."""
        with self._news:
            self._ended = True
            self._news.notify_all()
            self._news.wait_for(lambda: self._error or not (self._pending or self._busy), seconds)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    async def _until(self, done: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            woken = asyncio.Event()
            with self._news:
                if self._error is not None or done():
                    return
                self._wake = partial(_call, loop, woken.set)
            await woken.wait()

    def _work(self) -> None:
        while self._error is None:
            with self._news:
                self._busy = False
                self._notify()
                self._news.wait_for(lambda: self._pending or self._ended)
                if not self._pending:
                    self._thread = None  # `add` starts another one
                    return
                self._busy = True
                data = bytes(self._pending)
                self._pending.clear()
            try:
                self._write(data)
            except OSError as error:
                with self._news:
                    self._error = error
                    self._notify()

    def _notify(self) -> None:
        self._news.notify_all()
        if self._wake is not None:
            self._wake()
            self._wake = None


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop is closed, and nothing waits on it
        loop.call_soon_threadsafe(callback)
