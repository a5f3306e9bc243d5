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
    """Logs the events of a session, with other levels or another logger than the session's own lines.

        async with ArzamedSession(observers=[LoggingObserver()]) as session:
            ...

    The levels are:

    - WARNING: requests that fail or return an error status, retries, a circuit breaker that opens, pacing that starts, and
      failures of the token store
    - INFO: cancelled requests, other changes of a circuit breaker, pacing that ends, and unknown fields
    - DEBUG: successful requests, and changes of a pace

    Each log record has the event's class name as `arzamed_event`, and its fields as `arzamed_clinic`, `arzamed_status` and
    so on, for formatters that write JSON. Like the events, the lines contain no secret, token, query or value of a record.

    A session with this observer does not log its events itself, so no event is logged twice.

    Args:
        logger: The logger to use. None: the logger "arzamed_async.events".

    Attributes:
        logs_events: True: the session does not log its events itself.
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
            event: The event.
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
