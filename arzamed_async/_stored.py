"""What a TokenStore keeps: frozen values, with times in seconds from now. Imported where a session has a store.

Each checks itself by `is_valid`, the one place for that: the values in a store may have been written by anyone. Types
are compared exactly, since a subclass may do anything when it is compared, formatted or added.
"""

from __future__ import annotations

import re

from attrs import field

from ._frozen import frozen
from ._masked import Masked, as_masked

__all__ = ["MOST_REJECTION_SECONDS", "Lease", "StoredRejection", "StoredToken"]

#: Servers accept 8 KiB for the header that a token is sent in: a longer one is not shared.
_TOKEN = re.compile(r"[!-~]{1,8192}")
#: A day, which `expires_in` is cut at, and the rounding of a store.
_MOST_TOKEN_SECONDS = 86_400.0 + 60
#: The longest that a rejection or a pause is stored for.
MOST_REJECTION_SECONDS = 3600.0
_MOST_TEXT = 200
_MOST_FENCE = 2**63 - 1


def _is_number(value: object, most: float) -> bool:
    return (type(value) is int or type(value) is float) and 0 <= value <= most


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= _MOST_TEXT and value.isprintable()


@frozen
class StoredToken:
    """A token in a TokenStore, with its age and its remaining lifetime in seconds by the store's clock."""

    access_token: str = field(converter=as_masked)
    """The token itself."""
    age_seconds: float
    """How long ago it was issued, by the store's clock."""
    seconds_left: float
    """Its remaining lifetime, by the store's clock."""

    def is_valid(self) -> bool:
        """Return whether a session uses it: a token of at most 8 KiB that may stand in a header, for at most a day."""
        text, age, left = self.access_token, self.age_seconds, self.seconds_left
        if type(text) is not Masked or not _TOKEN.fullmatch(text):
            return False
        most = _MOST_TOKEN_SECONDS
        return _is_number(age, most) and _is_number(left, most) and age + left <= most


@frozen
class StoredRejection:
    """A rejection in a TokenStore: the credentials are not sent while it lasts. The texts are sanitized."""

    status: int | None
    """The status that the token endpoint responded with, if there was one."""
    error: str
    """The endpoint's `error` (RFC 6749 section 5.2)."""
    description: str
    """Its `error_description`."""
    seconds_left: float
    """How long it lasts, by the store's clock."""

    def is_valid(self) -> bool:
        """Return whether a session uses it: a status, printable texts of at most 200 characters, for at most an hour."""
        status = self.status
        if status is not None and not (type(status) is int and 100 <= status <= 999):
            return False
        return (
            _is_text(self.error)
            and _is_text(self.description)
            and _is_number(self.seconds_left, MOST_REJECTION_SECONDS)
        )


@frozen
class Lease:
    """The right to request a key's token."""

    key: str
    """The key, a digest."""
    owner: str
    """A random text, which identifies the holder."""
    fence: int
    """The number of the lease among those of the key: it always increases."""

    def is_valid(self) -> bool:
        """Return whether a session uses it: plain texts, and a number of at most 63 bits."""
        texts = _is_text(self.key) and _is_text(self.owner)
        return texts and type(self.fence) is int and 0 <= self.fence <= _MOST_FENCE
