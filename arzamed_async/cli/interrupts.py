"""Ctrl-C and SIGTERM: the first one ends the work in order, the second one ends the process."""

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
    """What happens at a signal. Nothing is installed before `install`: importing this module changes nothing.

    While asyncio runs, the task is cancelled, as `asyncio.Runner` does it for Ctrl-C. In `raising` it is a
    KeyboardInterrupt on the spot. Anywhere else nothing has arrived that could be written: the process ends at once.
    (A KeyboardInterrupt out of the midst of an import can be lost in a callback of the garbage collector.)
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._handled: list[int] = []
        self._task: asyncio.Task[object] | None = None
        self._raising = False

    @property
    def code(self) -> int:
        """The exit code, as a shell has it: 128 and the signal's number."""
        return 128 + (self.received or signal.SIGINT)

    def install(self) -> None:
        """Handle the signals that the parent process has not set to be ignored (as `nohup` and a shell's `&` do)."""
        self.received = None
        self._handled = [each for each in _NUMBERS if signal.getsignal(each) not in (signal.SIG_IGN, None)]
        for number in self._handled:
            signal.signal(number, self._on_signal)

    def reset(self) -> None:
        """Let the next signal end the process at once, whatever it is doing then."""
        for number in self._handled:
            signal.signal(number, signal.SIG_DFL)

    @contextmanager
    def cancelling(self) -> Generator[None]:
        """Within this a signal cancels the current task."""
        self._task = asyncio.current_task()
        try:
            yield
        finally:
            self._task = None

    @contextmanager
    def raising(self) -> Generator[None]:
        """Within this a signal is a KeyboardInterrupt at once: for what may block the main thread."""
        if threading.current_thread() is not threading.main_thread():  # signals are the main thread's alone
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
        self._task.get_loop().call_soon_threadsafe(lambda: None)  # it may be asleep in its selector


#: Handlers belong to the process; so does this.
interrupts = Interrupts()
