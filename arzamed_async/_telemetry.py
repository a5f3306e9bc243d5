"""Sends a session's events to its observers and its log, and warnings once; and gives calls their ids."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import re
import warnings
from collections.abc import Callable, Generator, Iterable
from contextvars import ContextVar
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._logs.setup import follow_environment, logger, write
from .events import Observer, Tracer

if TYPE_CHECKING:
    from .errors import ArzamedError
    from .events import Event, PaceChange

__all__ = ["Observers", "caused_by", "current_call_id", "is_logged", "new_call_id"]

#: A key may be anything, a person's name too: only what looks like a field's name is reported, and a limited number of them.
_FIELD_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
MOST_UNKNOWN_FIELDS = 64
MOST_ENDPOINTS_WATCHED = 256

#: Whether lines of a level are wanted: a look-up in the logger's cache, which follows each change of a level.
is_logged = logger.isEnabledFor

#: The call that starts a token request: the request runs in a task of its own, which inherits this.
_call: ContextVar[str] = ContextVar("arzamed_async_call", default="")

R = TypeVar("R")


class Observers:
    """The observers of one session, and its log. Check `listening` first where it costs something to collect what they receive.

    `tracers` are those that want spans as well. Their class decides, since a mock has every attribute.
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)
        self.present = bool(self._observers)
        # No call has to import what observers receive, and what the log needs.
        from ._logs.failures import FailureLog

        self._failures = FailureLog()
        if self.listening(logging.INFO):
            importlib.import_module("._logs.sentences", __package__)
        self.tracers = tuple(cast("Tracer", each) for each in self._observers if hasattr(type(each), "start_span"))
        follow_environment()
        self._logs = not any(getattr(type(each), "logs_events", False) is True for each in self._observers)
        self._warned: set[str] = set()
        self._unknown: dict[str, set[str]] = {}

    def listening(self, level: int = logging.DEBUG) -> bool:
        """Return whether anyone wants an event: an observer, or the log at this level."""
        return self.present or is_logged(level)

    def emit(self, event: Event) -> None:
        """Send an event to every observer, and to the log."""
        for observer in self._observers:
            left: object = self.safely(type(event).__name__, observer, event)
            if isinstance(left, CoroutineType):
                left.close()
                text = "an observer returned a coroutine for %s, which is not awaited: pass a plain function"
                write(logging.ERROR, text, type(event).__name__)

        if self._logs and is_logged(logging.WARNING):  # else no level that an event has
            from ._logs.sentences import log_event

            with contextlib.suppress(Exception):  # a filter of the program's may raise
                log_event(event)

    def failed(self, error: ArzamedError) -> None:
        """Log a failure that reaches a caller."""
        if is_logged(logging.WARNING):
            with contextlib.suppress(Exception):
                self._failures.add(error)

    def flush(self) -> None:
        """Log what was held back: the session is closed, or its event loop has ended."""
        with contextlib.suppress(Exception):
            self._failures.flush()

    def leave_process(self) -> None:
        """Leave what was held back to the parent of this forked child."""
        self._failures.clear()

    def safely(self, what: str, callback: Callable[..., R], *arguments: Any) -> R | None:
        """Return what an observer's callback returns, None where it raises: the log then names the class of the exception."""
        try:
            return callback(*arguments)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - no observer may break a call
            kind = type(error).__name__
        write(logging.ERROR, "an observer raised %s for %s", kind, what)
        return None

    def pace_changed(
        self, origin: str, clinic: str | None, change: PaceChange, requests_per_second: float | None, reason: str
    ) -> None:
        """Report that requests to an origin, or those of one clinic there, are sent at another rate."""
        if not self.listening(logging.WARNING):
            return
        from .events import PaceChanged

        self.emit(
            PaceChanged(
                scope="origin" if clinic is None else "clinic",
                clinic=clinic or "",
                base_url=origin,
                change=change,
                requests_per_second=requests_per_second,
                reason=reason,
            )
        )

    def field_watcher(self, clinic: str, path: str) -> Callable[[Iterable[tuple[str, str]]], None] | None:
        """Return a function that reports unknown fields of an endpoint, each once; None if there are no observers."""
        return partial(self._report_fields, clinic, path) if self.present else None

    def _report_fields(self, clinic: str, path: str, fields: Iterable[tuple[str, str]]) -> None:
        if path not in self._unknown and len(self._unknown) >= MOST_ENDPOINTS_WATCHED:
            return
        from .events import UnknownField

        reported = self._unknown.setdefault(path, set())
        for holder, name in fields:  # the path of what holds it consists of the class's own fields
            field = holder + name
            if field not in reported and len(reported) < MOST_UNKNOWN_FIELDS and re.fullmatch(_FIELD_NAME, name):
                reported.add(field)
                self.emit(UnknownField(clinic=clinic, path=path, field=field))

    def warn_once(self, text: str, category: type[Warning], *, stacklevel: int) -> None:
        """Issue a warning once per session; `stacklevel` counts from the caller, as that of warnings.warn."""
        if text not in self._warned:
            self._warned.add(text)
            warnings.warn(text, category, stacklevel=stacklevel + 1)


def new_call_id() -> str:
    """Return the id of one call: 64 random bits, so that processes need not agree on them."""
    return os.urandom(8).hex()


def current_call_id() -> str:
    """Return the id of the call that starts this work, or a new one for work of the session's own."""
    return _call.get() or new_call_id()


@contextlib.contextmanager
def caused_by(call_id: str) -> Generator[None]:
    """Within this context, work that starts belongs to the call."""
    before = _call.set(call_id)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the garbage collector closes a coroutine in another context
            _call.reset(before)
