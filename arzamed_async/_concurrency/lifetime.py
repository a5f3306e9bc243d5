"""The life of a session: the event loop it runs on, the tasks it owns, what it holds open, and its end.

Whatever has to end with the session is registered here: a scope around the work of each call, the tasks that belong
to no caller, and the responses that stay open between two awaits. Nothing else in a session keeps tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from ..errors import ConfigurationError, SessionClosedError
from .cancel_scope import CancelScope, CancelScopes
from .forks import own_poll

__all__ = ["Lifetime"]

R = TypeVar("R")

#: How long the end of a session waits for tasks that may outlive it.
GRACE_SECONDS = 0.6


#: The lifetimes of this process. A forked child abandons what they have: its parent uses the same sockets.
_all: weakref.WeakSet[Lifetime] = weakref.WeakSet()
#: Event loops of the parent that a child must not run: they still wait in the parent's poll object.
_shared: set[asyncio.AbstractEventLoop] = set()
#: What a child has abandoned. It is never freed there, since finalizers close connections and wake event loops.
_abandoned: list[object] = []


def _leave_parent() -> None:
    loops: dict[asyncio.AbstractEventLoop, None] = {}
    for lifetime in tuple(_all):
        with contextlib.suppress(Exception):  # a child starts in any case
            loops.update(lifetime.leave_process())
    for loop in loops:
        with contextlib.suppress(Exception):
            if own_poll(loop):
                _shared.discard(loop)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parent)


def _task_of(work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a forked child cancels the tasks of its parent
        work.close()
        raise
    return loop.create_task(work)


class Closable(Protocol):
    """What can be closed without waiting."""

    def close(self) -> None:
        """Close it."""
        ...


class Lifetime:
    """Ties a session to one event loop at a time, and ends all of its work when it closes."""

    def __init__(self) -> None:
        self.closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scopes: CancelScopes | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._outliving: set[asyncio.Task[Any]] = set()
        self._held_open: set[Closable] = set()
        self._on_new_loop: list[Callable[[], None]] = []
        self._on_fork: list[Callable[[], object]] = []
        self._process = os.getpid()
        self._parent: int | None = None  # in a forked child, the process that it was forked from
        _all.add(self)

    def on_new_loop(self, *leave: Callable[[], None]) -> None:
        """Register what drops a part's state when the session moves to another event loop."""
        self._on_new_loop.extend(leave)

    def on_fork(self, leave: Callable[[], object]) -> None:
        """Register what leaves a part's connections to the parent process. What it returns is never freed."""
        self._on_fork.append(leave)

    def leave_process(self) -> dict[asyncio.AbstractEventLoop, None]:
        """Start again in a forked child, without touching what is the parent's. Its calls in flight end here if resumed.

        Returns the event loop that the session has left, if there is one.
        """
        loop, scopes, tasks = self._loop, self._scopes, (*self._tasks, *self._outliving)
        _abandoned.append((loop, scopes, *tasks, *self._held_open))
        self._parent, self._process = self._process, os.getpid()
        try:
            _abandoned.extend(leave() for leave in self._on_fork)
        finally:
            self._leave(None)
        with contextlib.suppress(RuntimeError):  # from another thread, where the loop checks it
            for task in tasks:
                task.cancel()
            if scopes is not None:
                scopes.cancel()
        if loop is None:
            return {}
        _shared.add(loop)
        return {loop: None}

    def enter(self, clinic: str = "") -> asyncio.AbstractEventLoop:
        """Return the running loop, after binding the session to it.

        Raises SessionClosedError, and ConfigurationError while another loop that runs has the session.
        """
        if self.closed:
            raise SessionClosedError(clinic=clinic)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = self.running_loop()  # which raises what is right here
        if loop is not self._loop:
            if loop in _shared:
                raise ConfigurationError(
                    f"this event loop was used before this process was forked from process {self._parent}, and cannot continue"
                    " here: start a new one (asyncio.run)"
                )
            self._bind(
                loop,
                "this ArzamedSession is in use by another event loop that is running: make one session for each loop",
            )
        return loop

    def running_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop. Raises ConfigurationError in a coroutine that has forked, where none runs."""
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            if self._parent is None:
                raise
        raise ConfigurationError(
            f"this is process {self._process}, forked from process {self._parent} while its event loop was running,"
            " which cannot continue here: start a new event loop (asyncio.run), and open a session in it"
        )

    def _bind(self, loop: asyncio.AbstractEventLoop | None, refusal: str) -> None:
        """Leave the former loop, and whatever belongs to it: a loop that no longer runs cannot be awaited."""
        if self._loop is not None and self._loop.is_running():
            raise ConfigurationError(refusal)
        self._leave(loop)

    def _leave(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._scopes = None if loop is None else CancelScopes(loop)
        for each in (self._tasks, self._outliving, self._held_open):
            each.clear()
        for leave in self._on_new_loop:
            leave()

    def scope(self, seconds: float, clinic: str = "", read_seconds: float = math.inf) -> CancelScope:
        """Return a scope for work of the current task: it ends after this many seconds, or with the session."""
        loop = self.enter(clinic)
        assert self._scopes is not None
        now = loop.time()
        return CancelScope(self._scopes, now + seconds, read_seconds, now)

    def spawn(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """Start a task of the session's own. Its work opens a scope, so that it ends with the session, which waits for it."""
        task = _task_of(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def spawn_outliving(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """Start a task that may outlive the session, which waits a moment for it. Nobody has to look at its outcome."""
        task = _task_of(work)
        self._outliving.add(task)
        task.add_done_callback(self._outlived)
        return task

    def _outlived(self, task: asyncio.Task[Any]) -> None:
        self._outliving.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio would log one that nobody has looked at

    def hold_open(self, response: Closable) -> None:
        """Remember a response that stays open between two awaits, to be closed with the session."""
        self._held_open.add(response)

    def let_go(self, response: Closable) -> None:
        """Close such a response."""
        self._held_open.discard(response)
        response.close()

    def close(self) -> None:
        """Refuse new work, and end all there is. Closing twice is fine.

        Raises ConfigurationError while another loop that runs has the session.
        """
        loop = None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if self._parent is None:
                raise  # the coroutine in which this process was forked has nothing of the session's here
        if self._loop is not None and self._loop is not loop:
            self._bind(loop, "close this ArzamedSession on the event loop that is using it")
        self.closed = True
        if self._scopes is not None:
            self._scopes.cancel()
        for response in tuple(self._held_open):
            self.let_go(response)

    async def ended(self) -> None:
        """Wait, after `close`, for the end of the session's tasks; no longer than a moment for those that may outlive it."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        if self._outliving:
            await asyncio.wait(tuple(self._outliving), timeout=GRACE_SECONDS)
