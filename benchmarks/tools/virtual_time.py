"""An event loop whose clock jumps to the next timer: an hour of waiting takes as long as the work in it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["VirtualLoop", "run_virtually"]

T = TypeVar("T")


class _Clock:
    """What the loop takes for its selector: nothing is ever ready, and waiting is free."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is left that could happen: this run hangs")
        self.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop: timers, tasks and futures, and no sockets."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Clock()
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._selector.now

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody waits in another thread."""


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run this on a loop of its own whose clock jumps."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
