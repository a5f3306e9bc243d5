"""An event loop whose time passes quickly while nothing happens, and not at all faster while something does.

A deadline of 30 seconds is then met in a fraction of a second, with the timeouts a user has, over real sockets; and
a slow machine meets it no sooner, since what it has to do holds the time up.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: While nothing happens, each pause of so many real seconds ...
PAUSE_SECONDS = 0.004
#: ... lets so many seconds pass.
STEP_SECONDS = 1.0
#: A run that takes longer than this, in real seconds, hangs.
HUNG_SECONDS = 60.0


class HungError(BaseException):
    """The run does not come to an end. (No Exception: nothing may take it for a failed call.)"""


class _Selector(selectors.DefaultSelector):
    loop: QuickLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self.loop
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        while True:
            started = time.monotonic()
            if started > loop.hung_at:
                loop.hung_at = started + HUNG_SECONDS  # what has to be tidied up has its time, too
                raise HungError
            if events := super().select(PAUSE_SECONDS if timeout is None else min(timeout, PAUSE_SECONDS)):
                return events
            if timeout is not None:
                if not loop.threads:
                    loop.skip(max(0.0, min(timeout, STEP_SECONDS) - (time.monotonic() - started)))
                return events


class QuickLoop(asyncio.SelectorEventLoop):
    """The loop. `hosts` are the names that are found, and their addresses."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self.threads = 0
        self.hung_at = time.monotonic() + HUNG_SECONDS
        self.hosts: dict[str, str] = {}
        self.complaints: list[str] = []
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self.set_exception_handler(lambda _loop, context: self.complaints.append(str(context)))

    def time(self) -> float:
        """Return the time: what has really passed, and what was skipped."""
        return time.monotonic() + self._skipped

    def skip(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self._skipped += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Do so, and let no time be skipped until it is done: nobody sees what a thread does."""
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self.threads -= 1

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Look a name up among `hosts`: no question leaves this process."""
        if isinstance(host, str) and host.endswith(".example"):
            if host not in self.hosts:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = self.hosts[host]
        return await super().getaddrinfo(host, port, **options)


def quickly(main: Coroutine[Any, Any, T]) -> T:
    """Run this on a loop of its own whose time passes quickly."""
    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        return runner.run(main)


async def until(what: Callable[[], bool], meaning: str) -> None:
    """Wait until this holds; an AssertionError that says what was meant if it never does."""
    for turn in range(1000):
        if what():
            return
        await asyncio.sleep(0.001 if turn < 20 else 0.1)
    raise AssertionError(meaning)
