"""Ctrl-C and SIGTERM: the first one ends the command in order, the second one ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupts", "interrupts"]

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Handles signals, from `install` on: importing this module changes nothing.

    While asyncio runs, a signal cancels the task, as `asyncio.Runner` does for Ctrl-C. In `raising` it raises
    KeyboardInterrupt at once. Anywhere else there is no output to complete yet, and the process ends at once.
    (A KeyboardInterrupt raised during an import can be lost in a callback of the garbage collector.)
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._handled: list[int] = []
        self._task: asyncio.Task[object] | None = None
        self._raising = False

    @property
    def code(self) -> int:
        """The exit code, as in a shell: 128 plus the signal's number."""
        return 128 + (self.received or signal.SIGINT)

    def install(self) -> None:
        """Handle the signals, but for those that the parent process ignores (`nohup`, a shell's `&`)."""
        self.received = None
        self._handled = [each for each in _NUMBERS if signal.getsignal(each) not in (signal.SIG_IGN, None)]
        for number in self._handled:
            signal.signal(number, self._on_signal)

    def reset(self) -> None:
        """Restore the default action: the next signal ends the process at once."""
        for number in self._handled:
            signal.signal(number, signal.SIG_DFL)

    @contextmanager
    def cancelling(self) -> Generator[None]:
        """Return a context in which a signal cancels the current task."""
        self._task = asyncio.current_task()
        try:
            yield
        finally:
            self._task = None

    @contextmanager
    def raising(self) -> Generator[None]:
        """Return a context in which a signal raises KeyboardInterrupt at once: for code that may block the main thread."""
        if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
            yield
            return
        before, self._raising = self._raising, True
        try:
            yield
        finally:
            self._raising = before

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        self.reset()
        if self._raising:
            raise KeyboardInterrupt
        if self._task is None:
            os._exit(self.code)
        self._task.cancel()
        self._task.get_loop().call_soon_threadsafe(lambda: None)  # wakes the loop, which may be waiting in its selector


#: One for the process, as signal handlers are.
interrupts = Interrupts()
