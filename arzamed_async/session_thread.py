"""SessionThread: one session for a program with threads. The session runs on an event loop in a thread of its own.

A session belongs to one event loop at a time. Programs such as WSGI applications, Celery workers and notebooks have many
threads, or many short-lived loops. So one loop runs the session here. `run` starts a coroutine on that loop, and waits
for it in the calling thread.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import inspect
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ._arguments import described, function
from ._frozen import total_repr
from ._tracebacks import hides_arguments
from ._validation import positive_seconds
from .errors import ConfigurationError, DeadlineExceededError, SessionClosedError
from .session import ArzamedSession

__all__ = ["SessionThread"]

T = TypeVar("T")

#: How long the exit of the program waits for the end of what runs.
EXIT_SECONDS = 5.0


class _Run(Generic[T]):
    """One call of `run`: the work, and its outcome, which the calling thread waits for."""

    def __init__(self, worker: _Worker, work: Callable[[ArzamedSession], Awaitable[T]], seconds: float | None) -> None:
        self._worker = worker
        self._work = work
        self._seconds = seconds
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._late = False
        self._value: list[T] = []
        self._error: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop
        self.ended = threading.Event()

    def start(self) -> None:
        """Start it, on the event loop."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._go(), context=self._context)
        self._task.add_done_callback(self._over)
        if self._seconds is not None:
            self._timer = loop.call_later(self._seconds, self._expire)

    async def _go(self) -> None:
        try:
            coming = self._work(self._worker.session())
            if not inspect.isawaitable(coming):
                raise ConfigurationError(
                    f"work must be a coroutine function of the session: it returned {described(coming)}"
                )
            self._value.append(await coming)
        except BaseException as error:  # noqa: BLE001 - raised in the calling thread; SystemExit would end the loop
            self._error = error

    def _expire(self) -> None:
        self._late = True
        self.cancel()

    def cancel(self) -> None:
        """Cancel it, on the event loop."""
        if self._task is not None:
            self._task.cancel()
        elif not self.ended.is_set():  # the thread was interrupted before it could start
            self._over()

    def _over(self, _task: object = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._task = self._timer = None
        self._worker.forget(self)
        self.ended.set()

    def result(self) -> T:
        """Return what the work returned, or raise what it raised, without the frames of this module."""
        if self._value:
            return self._value[0]
        error, self._error = self._error, None
        if error is None or isinstance(error, asyncio.CancelledError):
            error = self._why_cancelled()
        else:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        try:
            raise error
        finally:
            del error

    def _why_cancelled(self) -> Exception:
        if self._late:
            remedy = "Retry later, or raise the deadline_seconds of the run"
            return DeadlineExceededError(seconds=self._seconds or 0.0, remedy=remedy)
        if self._worker.closed:
            return SessionClosedError()
        return RuntimeError("the work raised CancelledError, and nothing had cancelled it")


class _Worker:
    """The event loop, its thread and the session, which the thread keeps alive; a SessionThread can be freed before it."""

    def __init__(self, open_session: Callable[[], ArzamedSession]) -> None:
        self._open = open_session
        self._session: ArzamedSession | None = None
        self.closed = False
        self._start_empty()
        _all.add(self)

    def _start_empty(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runs: set[_Run[Any]] = set()
        self._over = asyncio.Event()

    def leave_process(self) -> object:
        """Start again in a forked child, which does not have the thread. Returns what must not be freed there."""
        left = (self._lock, self._loop, self._thread, self._runs, self._over)
        self._start_empty()
        return left

    def session(self) -> ArzamedSession:
        """Return the session, opened lazily. Runs on the event loop."""
        if self._session is None:
            opened: object = self._open()
            if not isinstance(opened, ArzamedSession):
                raise ConfigurationError(
                    f"open_session must be a function that returns an ArzamedSession: it returned {described(opened)}"
                )
            self._session = opened
        return self._session

    def submit(self, run: _Run[Any]) -> None:
        """Let the event loop start a run. Its thread starts with the first one, in a forked child again."""
        with self._lock:
            if self.closed:
                raise SessionClosedError
            if self._thread is threading.current_thread():
                raise ConfigurationError(
                    "run was called on the event loop of this SessionThread, and would wait for itself: await the coroutine instead"
                )
            loop = self._loop
            if loop is None:
                loop = asyncio.new_event_loop()
                # A daemon: what is never closed does not keep the program alive.
                over = asyncio.Event()
                thread = threading.Thread(target=self._serve, args=(loop, over), name="ArzamedSession", daemon=True)
                thread.start()
                self._loop, self._thread, self._over = loop, thread, over
            run.loop = loop
            self._runs.add(run)
            loop.call_soon_threadsafe(run.start)

    def forget(self, run: _Run[Any]) -> None:
        """Drop a run that has ended."""
        self._runs.discard(run)

    def cancel(self, run: _Run[Any]) -> None:
        """Cancel a run from its calling thread, and wait for its end."""
        if run not in self._runs:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, which has ended the run
            run.loop.call_soon_threadsafe(run.cancel)
        run.ended.wait()

    def _serve(self, loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                try:
                    runner.run(self._live(over))
                finally:
                    with self._lock:  # from here on, a run has another loop
                        if self._loop is loop:
                            self._loop = None
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
                left = [run for run in self._runs if run.loop is loop]
                self._runs.difference_update(left)
            for run in left:
                run.ended.set()

    async def _live(self, over: asyncio.Event) -> None:
        await over.wait()
        if self._session is not None:
            await self._session.aclose()  # the calls of all runs end here; the runner cancels what is left of these

    def close(self) -> threading.Thread | None:
        """Let all runs end, then the session and the thread, which is returned."""
        with self._lock:
            if not self.closed and self._loop is not None:
                self._loop.call_soon_threadsafe(self._over.set)
            self.closed = True
            return self._thread


#: The workers of this process. A forked child leaves their threads and loops to its parent.
_all: weakref.WeakSet[_Worker] = weakref.WeakSet()
#: What a child has left. It is never freed there: the finalizer of a loop would reach the parent's.
_abandoned: list[object] = []


def _leave_parent() -> None:
    _abandoned.extend([worker.leave_process() for worker in tuple(_all)])


@atexit.register
def _close_all() -> None:
    """Close the sessions at the exit of the program, which daemon threads do not delay."""
    for thread in [worker.close() for worker in tuple(_all)]:
        if thread is not None:
            thread.join(EXIT_SECONDS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parent)


class SessionThread:
    """One ArzamedSession for all threads of a program without an event loop: WSGI applications, workers, scripts.

        arzamed = SessionThread(lambda: ArzamedSession(timeouts=Timeouts(total_seconds=10)))
        doctors = arzamed.run(lambda session: session.clinic(clinic).doctors.list(), deadline_seconds=5)

    It is closed at the end of `with`, by `close`, or when the program exits. A forked process keeps the tokens, and starts
    a thread of its own at its first `run`. Do not use it with gevent or eventlet, which replace threads.

    Args:
        open_session: A function that returns the session. The first `run` calls it, on the event loop. If it raises, `run`
            raises that exception, and the next `run` calls it again.
    """

    @hides_arguments
    def __init__(self, open_session: Callable[[], ArzamedSession] = ArzamedSession) -> None:
        function("open_session", open_session, "a function that returns an ArzamedSession")
        self._worker = _Worker(open_session)
        weakref.finalize(self, self._worker.close)

    @total_repr
    def __repr__(self) -> str:
        return f"<SessionThread{' closed' if self._worker.closed else ''}>"

    def __enter__(self) -> Self:
        if self._worker.closed:
            raise SessionClosedError
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def run(self, work: Callable[[ArzamedSession], Awaitable[T]], *, deadline_seconds: float | None = None) -> T:
        """Run `work(session)` on the session's event loop, wait for it, and return its result or raise its exception.

        Any number of threads can call it at once. The work runs in a copy of the caller's context. If the waiting thread is
        interrupted (KeyboardInterrupt, an exception in a signal handler), the work is cancelled, and `run` waits for its end.

        Args:
            work: A coroutine function that takes the session. It must not block: all threads share the event loop.
            deadline_seconds: The deadline of the work, which is then cancelled. None: no deadline besides those of its calls.

        Raises:
            DeadlineExceededError: The deadline has passed.
            SessionClosedError: The SessionThread is closed.
            ConfigurationError: It was called in the session's own thread, or `work` is not a coroutine function.
        """
        function("work", work, "a coroutine function of the session")
        positive_seconds("deadline_seconds", deadline_seconds)
        worker = self._worker
        run = _Run(worker, work, deadline_seconds)
        try:
            worker.submit(run)
            run.ended.wait()
        except BaseException:
            worker.cancel(run)
            raise
        return run.result()

    def close(self) -> None:
        """Close the session and end the thread. Runs in progress raise SessionClosedError. Can be called more than once."""
        thread = self._worker.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
