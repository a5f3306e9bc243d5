"""A session's events in the log of Python's standard library."""

from ._observer import LoggingObserver

__all__ = ["LoggingObserver"]
