"""Runs the blocking calls of a store in a few daemon threads of its own.

asyncio's default executor does not do: a folder that hangs (a dead mount) takes its few threads from all that runs in the
process, and asyncio.run waits for them. A session has threads of its own for look-ups and secrets, which do not serve here:
a store is written with public names alone, may have several event loops at a time, and undoes a call whose caller has left.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

__all__ = ["MOST_THREADS", "WorkerPool"]

T = TypeVar("T")

#: As many as a session makes calls to its store at a time. A thread that hangs is not replaced: the folder is the same.
MOST_THREADS = 6


class _Call(Generic[T]):
    """One call. Its value is kept here: a future's repr would show it."""

    __slots__ = ("_context", "_error", "_undo", "_value", "_work", "ended", "waiter")

    def __init__(
        self, work: Callable[[], T], undo: Callable[[T], object] | None, waiter: asyncio.Future[None] | None
    ) -> None:
        self._context = contextvars.copy_context()
        self._work = work
        self._undo = undo
        self._value: T | None = None
        self._error: BaseException | None = None
        self.waiter = waiter
        self.ended = False

    def run(self) -> None:
        try:
            self._value = self._context.run(self._work)
        except BaseException as error:  # noqa: BLE001 - it is raised where the call is awaited
            self._error = error

    def result(self) -> T:
        if self._error is not None:
            error, self._error = self._error, None  # its traceback holds this call
            try:
                raise error
            finally:
                del error
        return self._value  # type: ignore[return-value]

    def reversal(self) -> _Call[object] | None:
        """Return the call that undoes this one, whose caller has left; None if there is nothing to undo."""
        undo, self._undo = self._undo, None
        if undo is None or self._error is not None:
            return None
        return _Call(partial(undo, self._value), None, None)  # type: ignore[arg-type]


class WorkerPool:
    """At most `MOST_THREADS` threads, which end when no call is left. For any number of event loops."""

    def __init__(self) -> None:
        self._workers = _Workers(None)

    def __reduce__(self) -> tuple[type[WorkerPool], tuple[()]]:
        """A copy in another process has threads of its own."""
        return WorkerPool, ()

    async def run(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """Return what `work` returns. A caller that is cancelled does not wait for it.

        Work that has not started by then is dropped. Other work goes on, and `undo` is then called with its result.
        """
        workers = self._workers
        if workers.process != os.getpid():  # this process was forked: the threads are its parent's
            workers = self._workers = _Workers(workers)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call = _Call(work, undo, waiter)
        workers.add(call)
        try:
            await waiter
        except asyncio.CancelledError:
            workers.leave(call)
            raise
        return call.result()


class _Workers:
    """The threads of one process, and the calls that wait for one."""

    def __init__(self, parents: _Workers | None) -> None:
        self.process = os.getpid()
        self._parents = parents  # not freed in a child: what waits there belongs to the event loop of its parent
        self._lock = threading.Lock()
        self._waiting: dict[_Call[Any], None] = {}
        self._threads = 0

    def add(self, call: _Call[Any]) -> None:
        """Run this call in the next thread that is free. Raises OSError if there is none and the system allows no more."""
        with self._lock:
            self._waiting[call] = None
            if self._threads == MOST_THREADS:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, name="arzamed-store", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._threads -= 1
                if self._threads or call not in self._waiting:  # another thread takes it, or has taken it
                    return
                del self._waiting[call]
            raise OSError(errno.EAGAIN, "no thread can be started") from None

    def leave(self, call: _Call[Any]) -> None:
        """Note that the caller has been cancelled."""
        if self.process != os.getpid():  # a thread of the parent may have held the lock
            return
        with self._lock:
            call.waiter = None
            if call in self._waiting:
                del self._waiting[call]
                return
            reversal = call.reversal() if call.ended else None
        if reversal is not None:
            with suppress(OSError):
                self.add(reversal)

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call.run()
            self._finish(call)

    def _next(self) -> _Call[Any] | None:
        with self._lock:
            call = next(iter(self._waiting), None)
            if call is None:
                self._threads -= 1
            else:
                del self._waiting[call]
        return call

    def _finish(self, call: _Call[Any]) -> None:
        with self._lock:
            call.ended = True
            if call.waiter is not None:
                try:
                    call.waiter.get_loop().call_soon_threadsafe(_wake, call.waiter)
                except RuntimeError:  # its loop is closed
                    call.waiter = None
            reversal = call.reversal() if call.waiter is None else None
            if reversal is not None:
                self._waiting[reversal] = None  # this thread takes it, unless another one does


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
