"""What whole numbers are: too large for a float, or perhaps times. Flags are kept, and no number."""

from __future__ import annotations

__all__ = ["ALL_FLAGS", "BIG", "NOT_MILLISECONDS", "NOT_SECONDS", "number_flags"]

#: One was seen that a float cannot hold; one that is no time of 2000 to 2100, in seconds or milliseconds since 1970.
BIG, NOT_SECONDS, NOT_MILLISECONDS = 1, 2, 4
ALL_FLAGS = BIG | NOT_SECONDS | NOT_MILLISECONDS
_LARGEST_EXACT = 1 << 53
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800


def number_flags(column: list[int]) -> int:
    """Return the flags of whole numbers."""
    least, most = min(column), max(column)
    flags = 0
    if least < -_LARGEST_EXACT or most > _LARGEST_EXACT:
        flags |= BIG
    if least < _FIRST_SECOND or most > _LAST_SECOND:
        flags |= NOT_SECONDS
    if least < 1000 * _FIRST_SECOND or most > 1000 * _LAST_SECOND:
        flags |= NOT_MILLISECONDS
    return flags
