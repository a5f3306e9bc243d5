"""Blocking calls, in daemon threads of a session's own: look-ups of host names, and files that hold secrets.

asyncio's default executor does not do: a name server or a file system that hangs takes its few threads from all that
runs in the process, and asyncio.run waits for them. Nothing ends a thread that hangs, so what matters is who gets the
next one. There are at most twelve, and

- a call that has taken longer than a moment hangs: another thread takes its place, for the next call;
- keys whose call was quick last time go first, and one thread is kept for them: what has worked goes on working;
- keys whose call hung last time go last, and get eight threads at most;
- of the others those go first that several callers wait for, and those last in whose family another hangs;
- the more calls hang, the fewer new ones start at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import errno
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["MOST_THREADS", "BlockingCall", "Threads"]

T = TypeVar("T")

MOST_THREADS = 12
#: A call that takes longer hangs: it counts as a thread, but no longer as one of those that work.
SLOW_SECONDS = 0.25
#: How many threads work at a time while nothing hangs. For each call that hangs it is one less.
MOST_AT_ONCE = 6
#: As few as this only where many calls hang: each new call may be one more.
FEW_AT_ONCE, MANY_HANG = 2, 8
#: How many keys are remembered as quick or slow.
MOST_KEYS = 4096

#: In the order of their turns: quick last time, wanted by several callers, new, new in a family that hangs, slow last time.
_QUICK, _WANTED, _NEW, _DOUBTFUL, _SLOW = range(5)
#: A call of each kind starts if there are fewer threads than this.
_ROOM = (MOST_THREADS, MOST_THREADS - 1, MOST_THREADS - 1, MOST_THREADS - 2, MOST_THREADS - 4)


class BlockingCall(Generic[T]):
    """One blocking call, for all callers that want the same. Its value is kept here: a future's repr would show it."""

    __slots__ = (
        "_error", "_threads", "_value", "_work", "ended", "family", "from_newest", "hangs", "key", "kind", "started",
        "waiters",
    )  # fmt: skip

    def __init__(self, threads: Threads, key: Hashable, family: Hashable, work: Callable[[], T], kind: int) -> None:
        self._threads = threads
        self._work = work
        self._value: T | None = None
        self._error: BaseException | None = None
        self.key = key
        self.family = family
        self.kind = kind
        self.started: float | None = None
        self.hangs = self.ended = False
        self.from_newest = False
        self.waiters: dict[asyncio.Future[None], None] = {}

    def run(self) -> None:
        """Make the call, in a thread."""
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the call is awaited
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Set the error that all callers get."""
        self._error = error.with_traceback(None)

    async def wait(self) -> T:
        """Return what the call returns, or raise a copy of what it raises. A caller that leaves does not end it."""
        await self._threads.wait(self)
        if self._error is not None:
            raise copy.copy(self._error)
        return self._value  # type: ignore[return-value]


class Threads:
    """The blocking calls of one session. Used from one event loop at a time."""

    def __init__(self) -> None:
        self._start_empty()
        self._was_slow: OrderedDict[Hashable, bool] = OrderedDict()  # by key
        self._hang: set[Hashable] = set()  # families
        self._newest_first = False  # from which end new keys are taken: not from that where the last call hangs

    def _start_empty(self) -> None:
        self._lock = threading.RLock()  # a coroutine that the garbage collector closes takes it, maybe while it is held
        self._running: dict[Hashable, BlockingCall[Any]] = {}
        self._waiting: tuple[OrderedDict[Hashable, BlockingCall[Any]], ...] = tuple(OrderedDict() for _ in _ROOM)
        self._timer: asyncio.TimerHandle | None = None

    def leave_process(self) -> object:
        """Start again in a forked child, which has none of these threads. Returns what must not be freed there."""
        left = (self._lock, self._running, self._waiting, self._timer)
        self._start_empty()
        return left

    def call(self, key: Hashable, family: Hashable, work: Callable[[], T]) -> BlockingCall[T]:
        """Return the call under this key: the one under way, or one that begins now. Await its `wait`.

        Calls of one family are likely to hang together.
        """
        with self._lock:
            call: BlockingCall[T] | None = self._running.get(key)
            for waiting in self._waiting:
                call = call or waiting.get(key)
            if call is None:
                new = _DOUBTFUL if family in self._hang else _NEW
                kind = {None: new, False: _QUICK, True: _SLOW}[self._was_slow.get(key)]
                call = self._waiting[kind][key] = BlockingCall(self, key, family, work, kind)
            elif call.started is None and call.kind == _NEW:
                self._move(call, _WANTED)
        return call

    def _move(self, call: BlockingCall[Any], kind: int) -> None:
        del self._waiting[call.kind][call.key]
        call.kind = kind
        self._waiting[kind][call.key] = call

    async def wait(self, call: BlockingCall[Any]) -> None:
        """Wait for the end of a call. One that has not started when its last caller leaves is dropped."""
        waiter = asyncio.get_running_loop().create_future()
        with self._lock:
            if call.ended:  # since its caller joined it
                return
            call.waiters[waiter] = None
        self._start()
        try:
            await waiter
        finally:
            with self._lock:
                call.waiters.pop(waiter, None)
                if not call.waiters and call.started is None:
                    self._waiting[call.kind].pop(call.key, None)

    def _start(self) -> None:
        """Start threads for the calls that may start now; look again in a moment if others wait."""
        while True:
            with self._lock:
                call = self._next()
            if call is None:
                break
            thread = threading.Thread(target=self._work, args=(call,), name="arzamed-blocking", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system allows no more threads
                call.fail(OSError(errno.EAGAIN, "no thread can be started"))
                with self._lock:
                    self._finish(call)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with self._lock:
            look_again = any(self._waiting) and not all(each.hangs for each in self._running.values())
        if look_again:
            self._timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._start)

    def _work(self, call: BlockingCall[Any] | None) -> None:
        """Make this call in a thread, then those that may start."""
        while call is not None:
            call.run()
            with self._lock:
                self._finish(call)
                call = self._next()

    def _finish(self, call: BlockingCall[Any]) -> None:
        self._note_slow(time.monotonic())
        if self._running.get(call.key) is call:
            del self._running[call.key]
        call.ended = True
        self._remember(call, slow=call.hangs)
        for waiter in call.waiters:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)

    def _next(self) -> BlockingCall[Any] | None:
        """Return the call that starts now, None if none may."""
        now = time.monotonic()
        self._note_slow(now)
        hanging = sum(each.hangs for each in self._running.values())
        at_once = 1 if hanging >= MANY_HANG else max(FEW_AT_ONCE, MOST_AT_ONCE - hanging)
        working = len(self._running) - hanging
        for kind, waiting in enumerate(self._waiting):
            free = working < (MOST_AT_ONCE if kind == _QUICK else at_once)
            if waiting and free and len(self._running) < _ROOM[kind]:
                key, call = waiting.popitem(last=kind == _NEW and self._newest_first)
                call.started, call.from_newest = now, self._newest_first
                self._running[key] = call
                return call
        return None

    def _note_slow(self, now: float) -> None:
        for each in self._running.values():
            if not each.hangs and each.started is not None and now - each.started > SLOW_SECONDS:
                each.hangs = True
                self._remember(each, slow=True)
                for like in [new for new in self._waiting[_NEW].values() if new.family == each.family]:
                    self._move(like, _DOUBTFUL)
                if each.kind == _NEW:  # its neighbours in the queue may hang as well
                    self._newest_first = not each.from_newest

    def _remember(self, call: BlockingCall[Any], *, slow: bool) -> None:
        self._was_slow[call.key] = slow
        self._was_slow.move_to_end(call.key)
        if len(self._was_slow) > MOST_KEYS:
            self._was_slow.popitem(last=False)
        if slow:
            self._hang.add(call.family)
        else:
            self._hang.discard(call.family)
        if len(self._hang) > MOST_KEYS:
            self._hang.clear()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
