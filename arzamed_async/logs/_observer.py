"""LoggingObserver logs each event with a level, a sentence and structured fields."""

from __future__ import annotations

import logging

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
from arzamed_async._extras import hides_arguments
from arzamed_async._logs.sentences import fields_of, sentence_of

__all__ = ["LoggingObserver"]


class LoggingObserver:
    """Logs the events of a session under other levels, or to another logger, than the session does by itself.

        async with ArzamedSession(observers=[LoggingObserver()]) as session:
            ...

    The default logger is "arzamed_async.events". Successful requests are logged at DEBUG. Requests that fail or return
    an error status, retries, circuit breakers that open, paces that start and failures of the token store are WARNING.
    Cancelled requests, circuit breakers that close, paces that end and unknown fields are INFO; paces that change are
    DEBUG. Each log record has the event's class name as `arzamed_event` and its fields as `arzamed_clinic`,
    `arzamed_status` and so on, for formatters that write JSON. As in the events, there is no secret, no token, no query
    and no value of a record; a path is the endpoint's, `<raw>` or `<token>`.

    A session with such an observer leaves the lines of its events to it, so that none is logged twice.

    Args:
        logger: Where to log; None: the logger "arzamed_async.events".

    Attributes:
        logs_events: True: a session leaves the lines of its events to this observer.
    """

    #: Read by the session: see above.
    logs_events = True

    @hides_arguments
    def __init__(self, logger: logging.Logger | None = None) -> None:
        if logger is not None and not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
            raise ConfigurationError(f"logger must be a logging.Logger, not {type(logger).__name__}")
        self._logger = logger or logging.getLogger("arzamed_async.events")

    def __call__(self, event: Event, /) -> None:
        """Log the event.

        Args:
            event: What has happened.
        """
        level = _level(event)
        if self._logger.isEnabledFor(level):
            text, facts = sentence_of(event)
            self._logger.log(level, text, *facts, extra=fields_of(event))


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
