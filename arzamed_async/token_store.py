"""What a TokenStore keeps: frozen values, times in seconds from now."""

from __future__ import annotations

from typing import Protocol

from attrs import field, frozen

from ._masked import Masked

__all__ = ["Lease", "StoredRejection", "StoredToken", "TokenStore"]


@frozen
class StoredToken:
    """A token in a TokenStore: how old it is and how long it lives still, in seconds, by the store's clock."""

    access_token: str = field(converter=Masked)
    age_seconds: float
    seconds_left: float


@frozen
class StoredRejection:
    """A refusal in a TokenStore: the credentials are not tried again for `seconds_left`. The texts are cleaned ones."""

    status: int | None
    error: str
    description: str
    seconds_left: float


@frozen
class Lease:
    """The right to ask for a key's token: whose it is (`owner`, random), and its number among the key's leases."""

    key: str
    owner: str
    fence: int


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
