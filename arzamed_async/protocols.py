"""What a caller may bring along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .events import Event, Work
from .stored import Lease, StoredRejection, StoredToken

__all__ = ["Observer", "Span", "TokenStore", "Tracer"]


class Observer(Protocol):
    """Anything that can be called with an Event. It runs on the event loop, so it must return at once.

    An exception it raises is logged by its class and goes no further.
    """

    def __call__(self, event: Event, /) -> None:
        """Take note of the event."""


class Span(Protocol):
    """A piece of work that a Tracer follows until its `end`. It runs on the event loop, as the tracer does."""

    def headers(self) -> Mapping[str, str]:
        """Return what a request is to be sent with, such as `traceparent`; asked for requests only, once."""
        ...

    def tell(self, event: Event, /) -> None:
        """Take note of something on the way: RetryScheduled, CircuitChanged. (Observers are told as well.)"""
        ...

    def end(self, status: int | None, error: str, /) -> None:
        """Take note of the end: the answer's status (None: no request, or no answer), the class name of what it raised, or empty."""
        ...


class Tracer(Observer, Protocol):
    """An observer that is also asked for a span wherever work starts. Give it to a session among its `observers`.

    All work but a stream's begins and ends in one task, without a step of the caller's in between: a context variable
    set at its start can be reset at its end. A "token" is fetched in a task that its caller has started, and may outlive
    the caller. Exceptions are logged by their class and go no further. A header that a request has already is not replaced.
    """

    def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
        """Return a span for work that starts now, None to leave it alone; `parent` is what this gave for the work around it."""
        ...


class TokenStore(Protocol):
    """Where processes keep tokens in common, so that one of them asks for a clinic's and all have it.

    A `key` is a digest (64 hex digits) of a clinic's credentials. Times are seconds from now, by the store's own clock:
    the clocks of machines may differ. Any method may raise anything, or take too long: the session then goes on with a
    token of its own, and tells it once (`TokenStoreFailed`). All run on the session's event loop and must not block it.

    A lease is the right to ask for a key's token. At most one is out at a time; it ends by `release`, or by itself
    `seconds` after it was given or renewed, or at once where the store can tell that its holder is gone. Leases of a key
    are numbered upwards (`Lease.fence`), also where the store has lost what it knew; what is saved under a lease never
    replaces what was saved under a later one.

    `arzamed_async.testing.TokenStoreContract` holds the tests that a store of your own has to pass.
    """

    async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
        """Return what is kept, with what is left of its time; None: nothing, or its time is over."""
        ...

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        """Keep it for `kept.seconds_left`; False, and nothing changed, where a later lease's is kept already.

        Without a lease it is kept only where nothing is.
        """
        ...

    async def discard(self, key: str, access_token: str, /) -> bool:
        """Drop what is kept if it is this very token (it was answered 401); return whether it was."""
        ...

    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        """Return a lease for so many seconds; None while another has it. Does not wait."""
        ...

    async def renew(self, lease: Lease, seconds: float, /) -> bool:
        """Let a lease last so many seconds from now; False where it is no longer the holder's."""
        ...

    async def release(self, lease: Lease, /) -> None:
        """Give a lease back, if it is still the holder's."""
        ...

    async def aclose(self) -> None:
        """Let go of what the store has opened itself. More than once is fine. (A session never calls it: stores are shared.)"""
        ...
