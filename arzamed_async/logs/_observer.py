"""LoggingObserver logs each event with a level, a sentence and structured fields."""

from __future__ import annotations

import logging

from attrs import asdict

from arzamed_async import (
    CircuitChanged,
    ConfigurationError,
    Event,
    PaceChanged,
    RequestFinished,
    RetryScheduled,
    TokenRequestFinished,
    TokenStoreFailed,
    UnknownField,
)

__all__ = ["LoggingObserver"]


class LoggingObserver:
    """Logs the events of a session; the default logger is "arzamed_async.events".

        async with ArzamedSession(observers=[LoggingObserver()]) as session:
            ...

    Successful requests are logged at DEBUG. Requests that fail or return an error status, retries, circuit breakers
    that open, paces that start and failures of the token store are WARNING. Cancelled requests, circuit breakers that
    close, paces that end and unknown fields are INFO; paces that change are DEBUG. Each log record has the event's class
    name as `arzamed_event` and its fields as `arzamed_clinic`, `arzamed_status` and so on, for formatters that write
    JSON. As in the events, there is no secret, no token, no query and no value of a record; a path is the endpoint's,
    `<raw>` or `<token>`.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        if logger is not None and not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
            raise ConfigurationError(f"logger must be a logging.Logger, not {type(logger).__name__}")
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
        case RetryScheduled() | TokenStoreFailed() | CircuitChanged(state="open") | PaceChanged(change="started"):
            return logging.WARNING
        case PaceChanged(change="changed"):
            return logging.DEBUG
        case CircuitChanged() | UnknownField() | PaceChanged():
            return logging.INFO


def _sentence(event: Event) -> tuple[object, ...]:
    """Return a format string and its arguments."""
    match event:
        case RequestFinished() | TokenRequestFinished():
            call = "token request" if isinstance(event, TokenRequestFinished) else f"{event.method} {event.path}"
            return "%s: %s: %s after %.3f s (attempt %d)", event.clinic, call, _end(event), event.seconds, event.attempt
        case RetryScheduled():
            call = "token request" if event.path == "<token>" else f"{event.method} {event.path}"
            again = "%s: attempt %d of %s failed (%s), retrying in %.3f s"
            return again, event.clinic, event.attempt, call, event.reason, event.delay_seconds
        case CircuitChanged():
            return "%s: circuit breaker is %s", event.clinic, event.state.replace("_", "-")
        case PaceChanged():
            return "%s: %s (%s)", event.clinic or event.base_url, _pace(event.requests_per_second), event.reason
        case UnknownField():
            return "%s: records of %s hold a field %s, which is ignored", event.clinic, event.path, event.field
        case TokenStoreFailed():
            return "%s: token store failed (%s)", event.clinic, event.error


def _pace(rate: float | None) -> str:
    if rate is None:
        return "requests are not paced any more"
    return f"requests are paced at {rate:.3g} a second" if rate else "no requests are sent"


def _end(event: RequestFinished | TokenRequestFinished) -> str:
    status = "" if event.status is None else f"HTTP {event.status}"
    ended = "cancelled" if event.error == "CancelledError" else f"failed ({event.error})" if event.error else ""
    return ", ".join(part for part in (status, ended) if part)
