"""Logs a session's events with the logging module of the standard library."""

from ._observer import LoggingObserver

__all__ = ["LoggingObserver"]
