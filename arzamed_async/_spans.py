"""Spans around a session's work, for its tracers, and the event of each request, for its observers and its log."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

from ._telemetry import Observers
from .events import Span, Tracer

if TYPE_CHECKING:
    from .events import Event, Work, WorkKind

__all__ = ["TOKEN_PATH", "RequestSpans", "Spans", "token_work"]

#: The path of a token request in events and spans: its URL belongs to the clinic.
TOKEN_PATH = "<token>"  # noqa: S105 - no secret  # nosec B105
_NAME = r"[A-Za-z0-9-]+"
_VALUE = r"[\x20-\x7e]*"
#: Headers that the client sets, in some or all requests, and those that frame a message or belong to one connection.
_OURS = frozenset(
    {
        "accept", "accept-encoding", "authorization", "content-encoding", "content-length", "content-type", "connection",
        "cookie", "expect", "host", "http2-settings", "keep-alive", "proxy-authorization", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip


def token_work(kind: WorkKind, clinic: str, token_url: str, attempt: int = 0, call_id: str = "") -> Work:
    """Return what tracers see of the work for a token."""
    from .events import Work

    parts = urlsplit(token_url)
    base_url = f"{parts.scheme}://{parts.netloc}"
    return Work(
        kind=kind, clinic=clinic, method="POST", path=TOKEN_PATH, base_url=base_url, attempt=attempt, call_id=call_id
    )


class Spans:
    """The spans of a piece of work, one of each tracer that returned one. `with` ends them; ending them twice is fine."""

    __slots__ = ("_observers", "_spans", "status", "work")

    def __init__(self, observers: Observers, work: Work, parent: Spans | None = None) -> None:
        self._observers = observers
        self.work = work
        self.status: int | None = None
        above = [None] * len(observers.tracers) if parent is None else parent._spans  # noqa: SLF001 - another of this class
        self._spans: list[Span | None] = [
            observers.safely(work.kind, _started, tracer, work, span)
            for tracer, span in zip(observers.tracers, above, strict=False)
        ]

    def headers(self, ours: Mapping[str, str]) -> Mapping[str, str]:
        """Return these headers and those that the spans add. A span replaces no header, and an invalid one is dropped."""
        headers = dict(ours)
        taken = {name.lower() for name in headers} | _OURS
        for span in self._spans:
            wanted = None if span is None else self._observers.safely("headers", _mapping, span)
            for name, value in (wanted or {}).items():
                if _sendable(name, value) and (key := str.lower(name)) not in taken:
                    taken.add(key)
                    headers[str.__str__(name)] = str.__str__(value)  # a subclass may become another text elsewhere
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


def _started(tracer: Tracer, work: Work, parent: Span | None) -> Span | None:
    span = tracer.start_span(work, parent)
    for name in ("tell", "end") if span is not None else ():
        getattr(span, name)  # what is no span raises here, and breaks no call later
    return span


def _mapping(span: Span) -> dict[str, str]:
    return dict(span.headers())


def _sendable(name: object, value: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and bool(re.fullmatch(_NAME, name) and re.fullmatch(_VALUE, value))
    )


class Body(Protocol):
    """The body of a response."""

    def received_bytes(self) -> int:
        """Return the bytes of the body received so far, as they were sent."""
        ...


class RequestSpans(Spans):
    """The spans of one request. When it is over, a cancellation included, the observers receive an event.

    That of a GET which has a response waits for the response's end, `release`.
    """

    __slots__ = ("_body", "_request_id", "_seconds", "_started")

    def __init__(self, observers: Observers, work: Work, parent: Spans | None) -> None:
        super().__init__(observers, work, parent)
        self._body: Body | None = None
        self._request_id = ""
        self._seconds = 0.0
        self._started = time.perf_counter()

    def responded(self, status: int, request_id: str = "", body: Body | None = None) -> None:
        """Note the status of the response, and the body, at whose end `release` is called."""
        self.status, self._request_id, self._body = status, request_id, body

    def end(self, error: str = "") -> None:
        """End the spans. Send the event, unless the body is still to be read."""
        self._seconds = time.perf_counter() - self._started
        if self._body is None:
            self._emit(error)
        super().end(error)

    def release(self) -> None:
        """Send the event: the response is closed."""
        self._emit("")

    def _emit(self, error: str) -> None:
        from .events import RequestFinished, TokenRequestFinished

        work = self.work
        clinic, attempt, status, seconds = work.clinic, work.attempt, self.status, self._seconds
        event: Event
        if work.method == "POST":
            event = TokenRequestFinished(
                clinic=clinic,
                attempt=attempt,
                status=status,
                seconds=seconds,
                error=error,
                call_id=work.call_id,
                request_id=self._request_id,
            )
        else:
            event = RequestFinished(
                clinic=clinic,
                method=work.method,
                path=work.path,
                attempt=attempt,
                status=status,
                seconds=seconds,
                error=error,
                call_id=work.call_id,
                request_id=self._request_id,
                bytes_read=0 if self._body is None else self._body.received_bytes(),
            )
        self._observers.emit(event)
