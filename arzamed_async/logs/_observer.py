"""The observer: a level, a sentence and structured fields for each event."""

from __future__ import annotations

import logging

from attrs import asdict

from arzamed_async import (
    CircuitChanged,
    Event,
    RequestFinished,
    RetryScheduled,
    TokenRequestFinished,
    TokenStoreFailed,
    UnknownField,
)

__all__ = ["LoggingObserver"]


class LoggingObserver:
    """Logs what a session does, to the logger "arzamed_async.events" if none is given.

        async with ArzamedSession(observers=[LoggingObserver()]) as session:
            ...

    What went well is DEBUG. A request that failed or was answered with an error, a retry, a circuit that opens and a
    token store that gives no answer are WARNING; the rest is INFO: a request that was cancelled, a circuit that closes, a
    field that is new. Each record has the event's class name as `arzamed_event` and its fields as `arzamed_clinic`,
    `arzamed_status` and so on, for formatters that write JSON. As in the events, there is no secret, no token, no query
    and no value of a record; a path is the endpoint's, `<raw>` or `<token>`.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("arzamed_async.events")

    def __call__(self, event: Event, /) -> None:
        """Log the event."""
        level = _level(event)
        if self._logger.isEnabledFor(level):
            fields = {f"arzamed_{name}": value for name, value in asdict(event, recurse=False).items()}
            text, *facts = _sentence(event)
            self._logger.log(level, text, *facts, extra={"arzamed_event": type(event).__name__, **fields})


def _level(event: Event) -> int:
    match event:
        case RequestFinished() | TokenRequestFinished():
            if event.error == "CancelledError":
                return logging.INFO
            return logging.WARNING if event.error or (event.status or 0) >= 300 else logging.DEBUG
        case RetryScheduled() | TokenStoreFailed() | CircuitChanged(state="open"):
            return logging.WARNING
        case CircuitChanged() | UnknownField():
            return logging.INFO


def _sentence(event: Event) -> tuple[object, ...]:
    """Return a text and what its placeholders stand for."""
    match event:
        case RequestFinished():
            call = f"{event.method} {event.path}"
            return "%s: %s %s in %.3f s (attempt %d)", event.clinic, call, _end(event), event.seconds, event.attempt
        case TokenRequestFinished():
            return (
                "%s: token request %s in %.3f s (attempt %d)",
                event.clinic,
                _end(event),
                event.seconds,
                event.attempt,
            )
        case RetryScheduled():
            call = "token request" if event.path == "<token>" else f"{event.method} {event.path}"
            again = "%s: attempt %d of %s failed (%s), the next is in %.3f s"
            return again, event.clinic, event.attempt, call, event.reason, event.delay_seconds
        case CircuitChanged():
            return "%s: the circuit is %s", event.clinic, event.state.replace("_", "-")
        case UnknownField():
            return "%s: records of %s hold a field %s, which is ignored", event.clinic, event.path, event.field
        case TokenStoreFailed():
            return "%s: the token store gave no answer (%s)", event.clinic, event.error


def _end(event: RequestFinished | TokenRequestFinished) -> str:
    answered = "" if event.status is None else f"answered {event.status}"
    ended = "was cancelled" if event.error == "CancelledError" else f"failed ({event.error})" if event.error else ""
    return " and ".join(part for part in (answered, ended) if part)
