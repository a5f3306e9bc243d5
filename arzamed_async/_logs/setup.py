"""The logger of the package. It is silent by default; the variable ARZAMED_LOG sends its lines to standard error."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["StderrHandler", "cleaned", "follow_environment", "logger", "write"]

VARIABLE = "ARZAMED_LOG"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}

logger = logging.getLogger("arzamed_async")
logger.addHandler(logging.NullHandler())


def write(level: int, text: str, *facts: object, extra: Mapping[str, Any] | None = None) -> None:
    """Write a line of the package. A handler or a filter of the program's that raises loses the line, and ends no call."""
    with contextlib.suppress(Exception):
        logger.log(level, text, *facts, extra=extra, stacklevel=2)


class StderrHandler(logging.Handler):
    """Writes to what sys.stderr is at the moment, unless a handler of the program's root logger does so already."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. An error is handled as the logging module handles it."""
        stream = sys.stderr
        others = logging.getLogger().handlers if logger.propagate else ()
        if stream is None or any(getattr(each, "stream", None) is stream for each in others):  # pyright: ignore[reportUnnecessaryComparison] - None without a console
            return
        try:
            stream.write(self.format(record) + "\n")
            stream.flush()
        except Exception:  # noqa: BLE001 - as in logging.StreamHandler
            self.handleError(record)


def follow_environment(environment: Mapping[str, str] = os.environ) -> None:
    """Log to standard error if ARZAMED_LOG is set. A session calls this when it is created; once is enough."""
    wanted = environment.get(VARIABLE, "").strip()
    if not wanted:
        return
    level = LEVELS.get(wanted.lower())
    if level is None:
        _report(wanted)
    elif not any(isinstance(each, StderrHandler) for each in logger.handlers):
        logger.addHandler(StderrHandler(level))
        if logger.getEffectiveLevel() > level:
            logger.setLevel(level)


@functools.lru_cache(maxsize=1)  # once, and not for each session
def _report(wanted: str) -> None:
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison] - None without a console
        sys.stderr.write(f"arzamed_async: {VARIABLE} must be debug or info, not {wanted[:40]!r}: it is ignored\n")


def cleaned(value: object) -> object:
    """Return a text without what a terminal or a log reader may take for more than text: names come from outside."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value)
