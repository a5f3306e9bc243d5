"""What a parser needs of a hash object."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Digest"]


class Digest(Protocol):
    """A hash object, as of hashlib."""

    def update(self, data: bytes | bytearray, /) -> None:
        """Add bytes."""
