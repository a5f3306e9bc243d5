"""The TokenStore protocol and its values: frozen, with times in seconds from now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ._lazy import lazy

if TYPE_CHECKING:
    from ._stored import Lease, StoredRejection, StoredToken

__all__ = ["Lease", "StoredRejection", "StoredToken", "TokenStore"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, dict.fromkeys(("Lease", "StoredRejection", "StoredToken"), "._stored"))


class TokenStore(Protocol):
    """The interface of a store that shares tokens between processes: one of them requests a token, and all use it.

    A `key` is a digest of a clinic's credentials. Times are durations in seconds, measured by the store's own clock, since
    the clocks of machines may differ. All methods run on the session's event loop and must not block it. A method may
    raise any exception, or take too long: the session then requests its own token. It emits a `TokenStoreFailed` event
    at most every five minutes.

    A lease is the right to request the token of a key. A key has at most one lease at a time. It ends when it is released,
    when its time is over, or when the store detects that its holder has ended. Each lease of a key has a higher number
    (`Lease.fence`) than all earlier ones, even if the store has lost its data. A value saved under a lease never replaces
    a value that was saved under a later lease.

    `arzamed_async.testing.TokenStoreContract` contains the tests that an implementation has to pass.

    Args:
        key: A digest (64 hex digits) of a clinic's credentials.
        kept: The token or the rejection to store.
        lease: The lease that the caller holds.
        access_token: The token that the API rejected.
        seconds: The duration of the lease, from now.
    """

    async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
        """Return the stored value with its remaining lifetime, or None if there is none or it has expired."""
        ...

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        """Store a value for `kept.seconds_left`. If a later lease has stored one, change nothing and return False.

        Without a lease, store it only if the key has no value.
        """
        ...

    async def discard(self, key: str, access_token: str, /) -> bool:
        """Delete the stored token if it is this one, which the API rejected with HTTP 401. Return whether it was deleted."""
        ...

    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        """Return a lease for `seconds`, or None if another holder has the key's lease. Does not wait for it."""
        ...

    async def renew(self, lease: Lease, seconds: float, /) -> bool:
        """Extend a lease to `seconds` from now; return False if it has been lost."""
        ...

    async def release(self, lease: Lease, /) -> None:
        """Release a lease, unless it has been lost."""
        ...

    async def aclose(self) -> None:
        """Close the files or connections of the store. Can be called repeatedly. A session never calls it: stores are shared."""
        ...
