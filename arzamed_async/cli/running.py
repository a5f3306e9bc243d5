"""Runs a command: its coroutine under the signals, its errors as messages and exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from arzamed_async import ConfigurationError

from .ending import Code
from .interrupts import interrupts
from .messages import StderrReporter

__all__ = ["code_of", "finish", "run"]

T = TypeVar("T")


def code_of(worked: int, failed: int) -> int:
    """Return the exit code for a run in which N clinics worked and M failed."""
    if not failed:
        return Code.ALL
    return Code.SOME_FAILED if worked else Code.NONE_WORKED


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. After a KeyboardInterrupt (Ctrl-C or SIGTERM) all tasks have ended, but threads may still hang."""
    runner = asyncio.Runner()
    try:
        value = runner.run(_cancelled_by_signals(work))
    except KeyboardInterrupt:
        raise  # closing would wait for a name look-up in a thread, however long that takes
    except asyncio.CancelledError:
        if interrupts.received is not None:
            raise KeyboardInterrupt from None
        raise
    except BaseException:
        runner.close()
        raise
    runner.close()
    return value


async def _cancelled_by_signals(work: Coroutine[Any, Any, T]) -> T:
    with interrupts.cancelling():
        return await work


def finish(command: Callable[[StderrReporter], int]) -> int:
    """Run a command; return its exit code. A mistake that the user can correct is one line, and no traceback."""
    reporter = StderrReporter()
    try:
        return command(reporter)
    except ConfigurationError as error:
        reporter.message(str(error))
        return Code.USAGE
    except KeyboardInterrupt:
        return interrupts.code
