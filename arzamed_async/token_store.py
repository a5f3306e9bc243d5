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
    """Shares tokens between processes, so that one of them requests a clinic's token and all of them use it.

    A `key` is a digest (64 hex digits) of a clinic's credentials. Times are seconds from now by the store's own clock,
    since the clocks of machines may differ. Any method may raise any exception, or take too long: the session then
    requests its own token, and emits `TokenStoreFailed`, once in five minutes. All methods run on the session's event loop and must not
    block it.

    A lease is the right to request a key's token. A key has at most one at a time. It ends by `release`, or `seconds`
    after it was acquired or renewed, or as soon as the store detects that its holder has ended. The numbers of a
    key's leases (`Lease.fence`) always increase, even if the store has lost its data. A value saved under a lease never
    replaces one that was saved under a later lease.

    `arzamed_async.testing.TokenStoreContract` contains the tests that an implementation has to pass.

    Args:
        key: A digest (64 hex digits) of a clinic's credentials.
        kept: The value to store.
        lease: The lease under which this is done.
        access_token: The token that the API rejected.
        seconds: How long the lease is to last from now.
    """

    async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
        """Return the stored value with its remaining lifetime, or None if there is none or it has expired."""
        ...

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        """Store a value for `kept.seconds_left`; return False, without a change, if a later lease's value is stored.

        Without a lease, store it only if the key has no value.
        """
        ...

    async def discard(self, key: str, access_token: str, /) -> bool:
        """Delete the stored token if it is this one (the API rejected it with 401); return whether it was."""
        ...

    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        """Return a lease that lasts `seconds`, or None while another holder has it. Does not wait."""
        ...

    async def renew(self, lease: Lease, seconds: float, /) -> bool:
        """Extend a lease to `seconds` from now; return False if it has been lost."""
        ...

    async def release(self, lease: Lease, /) -> None:
        """Release a lease, unless it has been lost."""
        ...

    async def aclose(self) -> None:
        """Close what the store has opened. Can be called repeatedly. (A session never calls it: stores are shared.)"""
        ...
