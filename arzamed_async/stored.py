"""What a TokenStore keeps: frozen values, times in seconds from now."""

from __future__ import annotations

from attrs import field, frozen

from ._masked import Masked

__all__ = ["Lease", "StoredRejection", "StoredToken"]


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
