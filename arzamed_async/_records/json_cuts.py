"""Finds where a piece of JSON may be cut: pure functions over bytes whose strings have been blanked, at C speed."""

from __future__ import annotations

import re
from itertools import accumulate

from .._memory import masked, without_escapes

__all__ = ["DELTAS", "MAX_DEPTH", "comes_down", "last_end", "learn_separator", "masked", "without_escapes"]

#: The deepest nesting that is read, the list itself included: orjson's own limit.
MAX_DEPTH = 1024

#: The change of the nesting depth by each byte.
DELTAS = [1 if byte in b"[{" else -1 if byte in b"]}" else 0 for byte in range(256)]
_BRACKETS = re.compile(rb"[\[\]{}]")
# Looked for once in a stream: compiled by the first one.
_FIRST_KEY = rb'\{[ \t\n\r]*"[^"\\]{1,64}"'
_BETWEEN_ARRAYS = rb"\][ \t\n\r]*,[ \t\n\r]*\["


def comes_down(brackets: bytes, depth: int, closed: int) -> bool:
    """Return whether the depth reaches zero at any of these brackets."""
    if closed < depth:
        return False
    for _ in range(4):  # remove pairs first; the rest is counted one by one
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return min(accumulate(map(DELTAS.__getitem__, brackets), initial=depth)) <= 0


def last_end(masked: bytes, depth: int) -> int | None:
    """Return where the last element that ends in `masked` ends; `depth` is the depth after its last byte."""
    if depth < 0:
        return masked.rindex(b"]") if b"]" in masked else len(masked)
    limit = len(masked) if depth == 0 else _first_open(masked, depth)
    closer = max(masked.rfind(b"]", 0, limit), masked.rfind(b"}", 0, limit))
    comma = masked.rfind(b",", closer + 1, limit)
    if comma >= 0:
        return comma
    return closer + 1 if closer >= 0 else None


def _first_open(masked: bytes, depth: int) -> int:
    """Return the position of the first bracket that is not closed; `depth` of them are open after the last byte."""
    tail = 512
    while True:
        start = max(0, len(masked) - tail)
        balance = 0
        for match in reversed(list(_BRACKETS.finditer(masked, start))):
            balance += DELTAS[masked[match.start()]]
            if balance == depth:
                return match.start()
        if start == 0:
            return 0
        tail *= 4


def learn_separator(window: bytes) -> bytes:
    """Return the bytes between the first two elements, up to the second's first key; empty if they are not that alike."""
    key = re.match(_FIRST_KEY, window)
    if key is not None:
        between = re.search(rb"\}[ \t\n\r]*,[ \t\n\r]*" + re.escape(key[0]), window)
    else:
        between = re.search(_BETWEEN_ARRAYS, window) if window[:1] == b"[" else None
    return between[0] if between else b""
