"""Sends a session's events to its observers, spans to its tracers, and warnings once."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import CoroutineType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from urllib.parse import urlsplit

from .events import Observer, Span, Tracer

if TYPE_CHECKING:
    from .events import Event, PaceChange, Work, WorkKind

__all__ = ["TOKEN_PATH", "Observers", "RequestSpans", "Spans", "token_work"]

#: A key may be anything, a person's name too: only what looks like a field's name is reported, and a limited number of them.
_FIELD_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
MOST_UNKNOWN_FIELDS = 64
MOST_ENDPOINTS_WATCHED = 256

logger = logging.getLogger("arzamed_async")

R = TypeVar("R")


class Observers:
    """The observers of one session. Check `present` first where it costs something to collect what they would receive.

    `tracers` are those that want spans as well. Their class decides, since a mock has every attribute.
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)
        self.present = bool(self._observers)
        if self.present:
            importlib.import_module("._events", __package__)  # what they receive: no call has to import it
        self.tracers = tuple(cast("Tracer", each) for each in self._observers if hasattr(type(each), "start_span"))
        self._warned: set[str] = set()
        self._unknown: dict[str, set[str]] = {}

    def emit(self, event: Event) -> None:
        """Send an event to every observer."""
        for observer in self._observers:
            left: object = self.safely(type(event).__name__, observer, event)
            if isinstance(left, CoroutineType):
                left.close()
                logger.error(
                    "an observer returned a coroutine for %s: it is called, and not awaited", type(event).__name__
                )

    def safely(self, what: str, callback: Callable[..., R], *arguments: Any) -> R | None:
        """Return what an observer's callback returns, None where it raises: the log then names the class of the exception."""
        try:
            return callback(*arguments)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - no observer may break a call
            kind = type(error).__name__
        logger.error("an observer raised %s for %s", kind, what)
        return None

    def pace_changed(
        self, origin: str, clinic: str | None, change: PaceChange, requests_per_second: float | None, reason: str
    ) -> None:
        """Report that requests to an origin, or those of one clinic there, are sent at another rate."""
        if not self.present:
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


#: The path of a token request in events and spans: its URL belongs to the clinic.
TOKEN_PATH = "<token>"  # noqa: S105 - no secret  # nosec B105
_NAME = r"[A-Za-z0-9-]+"
_VALUE = r"[\x20-\x7e]*"
#: Headers that frame the message. A tracer may not set them.
_OURS = frozenset({"connection", "content-length", "content-type", "expect", "host", "transfer-encoding", "upgrade"})


def token_work(kind: WorkKind, clinic: str, token_url: str, attempt: int = 0) -> Work:
    """Return what tracers see of the work for a token."""
    from .events import Work

    parts = urlsplit(token_url)
    base_url = f"{parts.scheme}://{parts.netloc}"
    return Work(kind=kind, clinic=clinic, method="POST", path=TOKEN_PATH, base_url=base_url, attempt=attempt)


class Spans:
    """The spans of a piece of work, one of each tracer that returned one. `with` ends them; ending them twice is fine."""

    __slots__ = ("_observers", "_spans", "status", "work")

    def __init__(self, observers: Observers, work: Work, parent: Spans | None = None) -> None:
        self._observers = observers
        self.work = work
        self.status: int | None = None
        above = [None] * len(observers.tracers) if parent is None else parent._spans  # noqa: SLF001 - another of this class
        self._spans: list[Span | None] = [
            observers.safely(work.kind, tracer.start_span, work, span)
            for tracer, span in zip(observers.tracers, above, strict=False)
        ]

    def headers(self, ours: Mapping[str, str]) -> Mapping[str, str]:
        """Return these headers and those that the spans add. A span replaces no header, and an invalid one is dropped."""
        headers = dict(ours)
        taken = {name.lower() for name in headers} | _OURS
        for span in self._spans:
            wanted = None if span is None else self._observers.safely("headers", _mapping, span)
            for name, value in (wanted or {}).items():
                if _sendable(name, value) and name.lower() not in taken:
                    taken.add(name.lower())
                    headers[name] = value
        return headers

    def report(self, event: Event) -> None:
        """Send the spans an event that happened during the work."""
        for span in self._spans:
            if span is not None:
                self._observers.safely(type(event).__name__, span.tell, event)

    def end(self, error: str = "") -> None:
        """End the spans; `error` is the class name of what the work raised."""
        spans, self._spans = self._spans, list[Span | None]([None] * len(self._spans))
        for span in reversed(spans):  # context variables are reset in reverse order
            if span is not None:
                self._observers.safely(self.work.kind, span.end, self.status, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end("" if kind is None else kind.__name__)


def _mapping(span: Span) -> dict[str, str]:
    return dict(span.headers())


def _sendable(name: object, value: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and bool(re.fullmatch(_NAME, name) and re.fullmatch(_VALUE, value))
    )


class RequestSpans(Spans):
    """The spans of one request. At its end, a cancellation included, the observers receive an event."""

    __slots__ = ("_started",)

    def __init__(self, observers: Observers, work: Work, parent: Spans | None) -> None:
        super().__init__(observers, work, parent)
        self._started = time.perf_counter()

    def responded(self, status: int) -> None:
        """Note the status of the response."""
        self.status = status

    def end(self, error: str = "") -> None:
        """Send the event, then end the spans."""
        from .events import RequestFinished, TokenRequestFinished

        work, status, seconds = self.work, self.status, time.perf_counter() - self._started
        clinic, attempt = work.clinic, work.attempt
        event: Event
        if work.method == "POST":
            event = TokenRequestFinished(clinic=clinic, attempt=attempt, status=status, seconds=seconds, error=error)
        else:
            event = RequestFinished(
                clinic=clinic,
                method=work.method,
                path=work.path,
                attempt=attempt,
                status=status,
                seconds=seconds,
                error=error,
            )
        self._observers.emit(event)
        super().end(error)
