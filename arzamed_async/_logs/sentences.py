"""An event as a line: its level, its sentence, and its fields. LoggingObserver has the same sentences."""

from __future__ import annotations

import logging
from typing import Any

import attrs

from .._counted import counted
from .._events import (
    CircuitChanged,
    Event,
    PaceChanged,
    RequestFinished,
    RetryScheduled,
    TokenRequestFinished,
    TokenStoreFailed,
    UnknownField,
)
from .setup import cleaned, logger, write

__all__ = ["fields_of", "log_event", "sentence_of"]


def log_event(event: Event) -> None:
    """Write the session's own line of an event."""
    level = _level(event)
    if logger.isEnabledFor(level):
        text, facts = sentence_of(event)
        write(level, text, *facts, extra=fields_of(event))


def fields_of(event: Event) -> dict[str, Any]:
    """Return the attributes of the log record: the event's class, and its fields, prefixed."""
    values = {each.name: cleaned(getattr(event, each.name)) for each in attrs.fields(type(event))}
    return {"arzamed_event": type(event).__name__, **{f"arzamed_{name}": value for name, value in values.items()}}


def _level(event: Event) -> int:
    """Return the level of the session's own line. An attempt that fails is no warning: the call may yet succeed."""
    match event:
        case RequestFinished() | TokenRequestFinished() | PaceChanged(change="changed"):
            return logging.DEBUG
        case TokenStoreFailed() | CircuitChanged(state="open") | PaceChanged(change="started"):
            return logging.WARNING
        case RetryScheduled() | CircuitChanged() | UnknownField() | PaceChanged():
            return logging.INFO


def sentence_of(event: Event) -> tuple[str, tuple[object, ...]]:
    """Return a format string and its arguments."""
    text, *facts = _sentence(event)
    return str(text), tuple(cleaned(fact) for fact in facts)


def _sentence(event: Event) -> tuple[object, ...]:
    match event:
        case RequestFinished() | TokenRequestFinished():
            call = "token request" if isinstance(event, TokenRequestFinished) else f"{event.method} {event.path}"
            return "%s: %s: %s after %.3f s (%s)", event.clinic, call, _end(event), event.seconds, _details(event)
        case RetryScheduled():
            call = "token request" if event.path == "<token>" else f"{event.method} {event.path}"
            again = "%s: attempt %d of %s failed (%s), retrying in %.3f s%s"
            call_id = f" (call {event.call_id})" if event.call_id else ""
            return again, event.clinic, event.attempt, call, event.reason, event.delay_seconds, call_id
        case CircuitChanged():
            return "%s: circuit breaker is %s", event.clinic, event.state.replace("_", "-")
        case PaceChanged():
            return "%s: %s (%s)", event.clinic or event.base_url, _pace(event.requests_per_second), event.reason
        case UnknownField():
            return (
                "%s: records of %s contain an unknown field %s, which is ignored",
                event.clinic,
                event.path,
                event.field,
            )
        case TokenStoreFailed():
            return "%s: token store failed (%s)", event.clinic, event.error


def _pace(rate: float | None) -> str:
    if rate is None:
        return "requests are no longer paced"
    return f"requests are paced at {rate:.3g} a second" if rate else "no requests are sent"


def _end(event: RequestFinished | TokenRequestFinished) -> str:
    status = "" if event.status is None else f"HTTP {event.status}"
    ended = "cancelled" if event.error == "CancelledError" else f"failed ({event.error})" if event.error else ""
    return ", ".join(part for part in (status, ended) if part)


def _details(event: RequestFinished | TokenRequestFinished) -> str:
    read = event.bytes_read if isinstance(event, RequestFinished) else 0
    parts = (
        f"attempt {event.attempt}",
        counted(read, "byte") if read else "",
        f"request {event.request_id}" if event.request_id else "",
        f"call {event.call_id}" if event.call_id else "",
    )
    return ", ".join(part for part in parts if part)
