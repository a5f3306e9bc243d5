"""Logs the calls that fail. Where many clinics fail at one host, they are one line with a count, and the rest is DEBUG."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from .._counted import counted
from ..errors import (
    ArzamedError,
    RateLimitedError,
    SessionClosedError,
    StatusError,
    TokenUnavailableError,
    TransportError,
)
from .setup import cleaned, logger, write

__all__ = ["FailureLog", "named", "shared_cause"]

#: Failures of other clinics at the same host within this time are counted, and reported in one line at its end.
WINDOW_SECONDS = 10.0
#: This number of clinics is named there.
MOST_NAMES = 3


class _Group:
    """Failures of one kind at one host, since `began`. The first one has been logged; others are counted."""

    def __init__(self, error: ArzamedError, began: float) -> None:
        self.error = error
        self.began = began
        self.others: dict[str, int] = {}
        self.timer: asyncio.TimerHandle | None = None

    def count(self, clinic: str) -> None:
        """Count a failure of another clinic."""
        self.others[clinic] = self.others.get(clinic, 0) + 1

    def summary(self) -> str:
        """Return the line of those that were counted."""
        error, names, failures = self.error, list(self.others), sum(self.others.values())
        clinics = counted(len(names), "more clinic")
        times = f" ({failures:,} failures)" if failures > len(names) else ""
        where = f" at {error.host}" if error.host else ""
        what = f"{type(error).__name__}{where}: {error.args[0] if error.args else ''}".rstrip(": ")
        return f"{clinics} failed in the same way{times}: {what}: {named(names)}"


class FailureLog:
    """The failures of one session that have reached its callers."""

    def __init__(self) -> None:
        self._groups: dict[tuple[object, ...], _Group] = {}

    def add(self, error: ArzamedError) -> None:
        """Log a failure, or count it."""
        key = shared_cause(error)
        if key is None:
            _write(logging.WARNING, error)
            return
        loop = asyncio.get_running_loop()
        now, group = loop.time(), self._groups.get(key)
        if group is not None and group.timer is None and now >= group.began + WINDOW_SECONDS:
            group = None
        if group is None:
            group = self._groups[key] = _Group(error, now)
        elif group.others or group.error.clinic != error.clinic:
            group.count(error.clinic)
            _write(logging.DEBUG, error)
            if group.timer is None:
                group.timer = loop.call_later(WINDOW_SECONDS, self._report, key)
            return
        _write(logging.WARNING, error)

    def _report(self, key: tuple[object, ...]) -> None:
        group = self._groups.pop(key, None)
        if group is not None and group.timer is not None:
            group.timer.cancel()
            fields = {
                "arzamed_event": "CallsFailed",
                "arzamed_error": type(group.error).__name__,
                "arzamed_host": group.error.host,
                "arzamed_clinics": [cleaned(name) for name in group.others],
            }
            write(logging.WARNING, "%s", cleaned(group.summary()), extra=fields)

    def flush(self) -> None:
        """Report what was counted: the session is closed, or its event loop has ended."""
        for key in list(self._groups):
            self._report(key)

    def clear(self) -> None:
        """Forget what was counted: another process reports it."""
        self._groups.clear()


def named(clinics: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f", and {len(clinics) - MOST_NAMES:,} more" if len(clinics) > MOST_NAMES else ""
    return ", ".join(clinics[:MOST_NAMES]) + more


def shared_cause(error: ArzamedError) -> tuple[object, ...] | None:
    """Return what the failures of one host share; None where a failure is the clinic's own."""
    shared = isinstance(error, (TransportError, TokenUnavailableError, SessionClosedError)) or (
        isinstance(error, StatusError)
        and (error.status >= 500 or (isinstance(error, RateLimitedError) and error.scope == "origin"))
    )
    return (type(error), getattr(error, "status", None), error.host) if shared else None


def _write(level: int, error: ArzamedError) -> None:
    if not logger.isEnabledFor(level):
        return
    fields = {
        "arzamed_event": "CallFailed",
        "arzamed_error": type(error).__name__,
        "arzamed_clinic": error.clinic,
        "arzamed_method": error.method,
        "arzamed_path": error.path,
        "arzamed_host": error.host,
        "arzamed_attempts": error.attempts,
        "arzamed_status": getattr(error, "status", None),
        "arzamed_request_id": getattr(error, "request_id", ""),
        "arzamed_call_id": error.call_id,
    }
    call_id = f" [call {error.call_id}]" if error.call_id else ""
    text = cleaned(f"{type(error).__name__}: {error}{call_id}")
    write(level, "%s", text, extra={name: cleaned(value) for name, value in fields.items()})
