"""What a TokenStore keeps: frozen values, with times in seconds from now. Imported where a session has a store."""

from __future__ import annotations

from attrs import field

from ._frozen import frozen
from ._masked import as_masked

__all__ = ["Lease", "StoredRejection", "StoredToken"]


@frozen
class StoredToken:
    """A token in a TokenStore, with its age and its remaining lifetime in seconds by the store's clock."""

    access_token: str = field(converter=as_masked)
    age_seconds: float
    seconds_left: float


@frozen
class StoredRejection:
    """A rejection in a TokenStore: the credentials are not sent for `seconds_left`. The texts are sanitized."""

    status: int | None
    error: str
    description: str
    seconds_left: float


@frozen
class Lease:
    """The right to request a key's token. `owner` is random; `fence` is the number of the lease among those of the key."""

    key: str
    owner: str
    fence: int
