"""Estimates what values take in memory, from their JSON, at C speed and before they are decoded.

A document that is all brackets takes eighty times its length. The estimate is what the values of an OpenRecord take, a frozen
mapping for each object; it may be twice of what they take, and is never under four fifths of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = [
    "FREE_BYTES",
    "LARGE_BYTES",
    "OBJECT_BYTES",
    "VALUE_BYTES",
    "excess",
    "masked",
    "most_memory",
    "text_width",
    "value_bytes",
    "without_escapes",
]

#: What a response may take in any case, however few bytes were received.
FREE_BYTES = 3_145_728
#: Beyond that, memory is at most this many times the bytes received. (Compressed records reach 150, a bomb 80,000.)
TIMES_RECEIVED = 256
#: What a document of no more than this expands to is less than FREE_BYTES.
LARGE_BYTES = 32_768
OBJECT_BYTES, VALUE_BYTES = 160, 28
_ARRAY, _COLON, _QUOTE = 56, 8, 20
#: With more for each byte than this the marks in strings are not counted: it may be JSON in a string.
_DENSE = 12
_PIECE_BYTES = 16_384
_PAIR = rb"\\u[dD][89abAB]"  # the first half of an escaped surrogate pair
_NOT_WIDE = bytes(byte for byte in range(256) if byte < 0xC4)
_NOT_WIDEST = bytes(byte for byte in range(256) if byte < 0xF0)


def most_memory(received_bytes: int) -> int:
    """Return the most memory that a response may expand to."""
    return max(FREE_BYTES, TIMES_RECEIVED * received_bytes)


def without_escapes(data: bytes) -> bytes:
    """Return the same number of bytes, in which each quote begins or ends a string."""
    return data.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in data else data


def excess(document: bytes, received_bytes: int) -> dict[str, int]:
    """Return the sizes of a document that expands to too much memory, for a LimitExceededError; empty for any other."""
    if len(document) <= LARGE_BYTES or (memory := value_bytes(document)) <= most_memory(received_bytes):
        return {}
    return {"received_bytes": received_bytes, "json_bytes": len(document), "memory_bytes": memory}


def masked(data: bytes, *, inside: bool = False) -> bytes:
    """Return the same number of bytes, with zeros for what is in strings; `inside`: the first byte is in one."""
    parts = without_escapes(data).split(b'"')
    start = 1 - inside
    parts[start::2] = map(bytes, map(len, parts[start::2]))
    return b'"'.join(parts)


def text_width(data: bytes) -> int:
    """Return the bytes in memory of a character, which the widest one in a string decides (PEP 393)."""
    escapes = b"\\u" in data
    if data.isascii() and not escapes:
        return 1
    if data.translate(None, _NOT_WIDEST) or (escapes and re.search(_PAIR, data)):
        return 4
    return 2 if escapes or data.translate(None, _NOT_WIDE) else 1


def _marks(data: bytes, each_object: int, each_value: int) -> int:
    return (
        each_object * data.count(b"{")
        + _ARRAY * data.count(b"[")
        + each_value * data.count(b",")
        + _COLON * data.count(b":")
        + _QUOTE * data.count(b'"')
    )


def value_bytes(data: bytes, each_object: int = OBJECT_BYTES, each_value: int = VALUE_BYTES) -> int:
    """Return about how much memory the values take that a JSON document decodes to."""
    marks = _marks(data, each_object, each_value)
    if marks > _DENSE * len(data) and b'"' in data:
        marks = sum(_marks(piece, each_object, each_value) for piece in _outside_strings(data))
    return marks + text_width(data) * len(data)


def _outside_strings(data: bytes) -> Iterator[bytes]:
    """Yield the document with its strings blanked, in pieces: a split at each quote takes many times the memory of the bytes."""
    inside = False
    start = 0
    while start < len(data):
        piece = data[start : start + _PIECE_BYTES]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # an escape stays whole
            piece = data[start : start + _PIECE_BYTES + 1]
        start += len(piece)
        yield masked(piece, inside=inside)
        inside ^= without_escapes(piece).count(b'"') % 2 == 1
