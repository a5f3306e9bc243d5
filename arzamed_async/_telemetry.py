"""What a session tells: events to observers, and warnings once."""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from urllib.parse import urlsplit

from .events import Event, Observer, RequestFinished, Span, TokenRequestFinished, Tracer, UnknownField, Work, WorkKind

__all__ = ["TOKEN_PATH", "Asking", "Notices", "Trace", "token_work"]

#: A key may be anything, a person's name too: only what looks like a field's name is told, and not without end.
_FIELD_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
MOST_UNKNOWN_FIELDS = 64
MOST_ENDPOINTS_WATCHED = 256

logger = logging.getLogger("arzamed_async")

R = TypeVar("R")


class Notices:
    """Tells the observers of one session. Ask `observers` first where it costs something to know.

    `tracers` are those of them that want spans, too. (The class decides: a mock has whatever it is asked for.)
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self.observers = tuple(observers)
        self.tracers = tuple(cast("Tracer", each) for each in self.observers if hasattr(type(each), "start_span"))
        self._warned: set[str] = set()
        self._unknown: dict[str, set[str]] = {}

    def emit(self, event: Event) -> None:
        """Tell every observer."""
        for observer in self.observers:
            self.safely(type(event).__name__, observer, event)

    def safely(self, what: str, tell: Callable[..., R], *facts: Any) -> R | None:
        """Return what an observer does; None where it raises, which the log tells by the class, and disturbs nothing."""
        try:
            return tell(*facts)
        except Exception as error:  # noqa: BLE001 - whatever an observer does, the call goes on
            kind = type(error).__name__
        logger.error("an observer raised %s for %s", kind, what)
        return None

    def field_watcher(self, clinic: str, path: str) -> Callable[[Iterable[str]], None] | None:
        """Return a function that reports unknown fields of an endpoint, each once; None if there are no observers."""
        return partial(self._report_fields, clinic, path) if self.observers else None

    def _report_fields(self, clinic: str, path: str, fields: Iterable[str]) -> None:
        if path not in self._unknown and len(self._unknown) >= MOST_ENDPOINTS_WATCHED:
            return
        told = self._unknown.setdefault(path, set())
        for name in fields:
            if name not in told and len(told) < MOST_UNKNOWN_FIELDS and _FIELD_NAME.fullmatch(name):
                told.add(name)
                self.emit(UnknownField(clinic=clinic, path=path, field=name))

    def warn_once(self, text: str, category: type[Warning], *, stacklevel: int) -> None:
        """Issue a warning once per session; `stacklevel` counts from the caller, as that of warnings.warn."""
        if text not in self._warned:
            self._warned.add(text)
            warnings.warn(text, category, stacklevel=stacklevel + 1)


#: How a token request is spoken of: its URL is the clinic's own.
TOKEN_PATH = "<token>"  # noqa: S105 - no secret  # nosec B105
_NAME = re.compile(r"[A-Za-z0-9-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
#: What the message is read by is not for tracers to say.
_OURS = frozenset({"connection", "content-length", "content-type", "expect", "host", "transfer-encoding", "upgrade"})


def token_work(kind: WorkKind, clinic: str, token_url: str, attempt: int = 0) -> Work:
    """Return what tracers see of the work for a token."""
    parts = urlsplit(token_url)
    base_url = f"{parts.scheme}://{parts.netloc}"
    return Work(kind=kind, clinic=clinic, method="POST", path=TOKEN_PATH, base_url=base_url, attempt=attempt)


class Trace:
    """A piece of work with its spans, one of each tracer that gave one. `with` ends them; to end them twice is fine."""

    __slots__ = ("_notices", "_spans", "status", "work")

    def __init__(self, notices: Notices, work: Work, parent: Trace | None = None) -> None:
        self._notices = notices
        self.work = work
        self.status: int | None = None
        above = [None] * len(notices.tracers) if parent is None else parent._spans  # noqa: SLF001 - another of this class
        self._spans: list[Span | None] = [
            notices.safely(work.kind, tracer.start_span, work, span)
            for tracer, span in zip(notices.tracers, above, strict=False)
        ]

    def headers(self, ours: Mapping[str, str]) -> Mapping[str, str]:
        """Return these headers and those the spans want sent: none that is there already, none that is no header."""
        headers = dict(ours)
        taken = {name.lower() for name in headers} | _OURS
        for span in self._spans:
            wanted = None if span is None else self._notices.safely("headers", _mapping, span)
            for name, value in (wanted or {}).items():
                if _sendable(name, value) and name.lower() not in taken:
                    taken.add(name.lower())
                    headers[name] = value
        return headers

    def tell(self, event: Event) -> None:
        """Tell the spans of something on the way."""
        for span in self._spans:
            if span is not None:
                self._notices.safely(type(event).__name__, span.tell, event)

    def end(self, error: str = "") -> None:
        """Tell the spans that the work is over; `error` is the class name of what it raised."""
        spans, self._spans = self._spans, list[Span | None]([None] * len(self._spans))
        for span in reversed(spans):  # what was set first is reset last
            if span is not None:
                self._notices.safely(self.work.kind, span.end, self.status, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end("" if kind is None else kind.__name__)


def _mapping(span: Span) -> dict[str, str]:
    return dict(span.headers())


def _sendable(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, str) and bool(_NAME.fullmatch(name) and _VALUE.fullmatch(value))


class Asking(Trace):
    """One request: observers are told how it ended, be it cancelled. Set `status` when its answer has come."""

    __slots__ = ("_started",)

    def __init__(self, notices: Notices, work: Work, parent: Trace | None) -> None:
        super().__init__(notices, work, parent)
        self._started = time.perf_counter()

    def end(self, error: str = "") -> None:
        """Tell observers, then the spans."""
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
        self._notices.emit(event)
        super().end(error)
