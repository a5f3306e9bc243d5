"""What both lanes need to know of a request. A type alone: an object for each call would cost a call one percent."""

from __future__ import annotations

from typing import Protocol

from .._concurrency.semaphore import FairSemaphore
from ..config import Timeouts

__all__ = ["Outgoing"]


class Outgoing(Protocol):
    """A request to be sent. Its headers are given apart from it: they hold the token."""

    @property
    def method(self) -> str:
        """GET or POST."""
        ...

    @property
    def url(self) -> str:
        """The whole URL."""
        ...

    @property
    def body(self) -> bytes | None:
        """The body of a POST."""
        ...

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again on mere suspicion that a connection is dead."""
        ...

    @property
    def new_connection(self) -> bool:
        """Whether it is sent over no connection that had been idle: an earlier attempt had no usable response."""
        ...

    @property
    def timeouts(self) -> Timeouts:
        """The timeouts under which it is sent."""
        ...

    @property
    def clinic_slot(self) -> FairSemaphore | None:
        """The clinic's slot that it holds: released when its response is closed."""
        ...
